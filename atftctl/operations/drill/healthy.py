"""The beginning of a drill: a scratch copy, and a healthy run whose model becomes the baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import InterventionNeeded
from atftctl.host.git import worktree
from atftctl.observe.trainer_run import process
from atftctl.operations.backup import create as backup
from atftctl.operations.drill.drill import Drill
from atftctl.operations.drill.scratch_copy import copy_project, set_values
from atftctl.operations.monitoring.watch import WatchData, once
from atftctl.operations.project import open_project
from atftctl.operations.rollback import routes
from atftctl.operations.trainer_process import lifecycle
from atftctl.operations.verification import baseline as baseline_recording
from atftctl.protocol import is_number
from atftctl.protocol.messages import tr, trn

PROBE_STEPS = 100  # of `verify`: the step times of so small a model vary, and a drill may take its time
VERIFY_S = 1200.0  # that the checklist may take at most, while the watcher waits


def prepare(drill: Drill, home: Path, data: str) -> str:
    """Make the scratch copy, with the improvements on. `data`: a file with real prices; "" for synthetic ones."""
    root = copy_project(drill.project, home).root
    drill.project = open_project(root, drill.project.language)
    drill.set_features(off=drill.keep_off)
    drill.set_all(drill.project.runbook.drill.copy)
    drill.set_all(drill.fault.copy)
    if data:
        ends = {"train_end": "2017-12-31", "validation_end": "2018-12-31"}
        prices: dict[tuple[str, ...], Any] = {("data", "path"): data, **{("data", key): ends[key] for key in ends}}
        set_values(root, drill.project.runbook.files.configs[0], prices)
    drill.set_rules(
        {
            ("checks", "probe_steps"): PROBE_STEPS,
            ("trainer", "memory_limit_mb"): 0,
            ("acting", "healthy_steps"): drill.fault.after_steps,
            ("acting", "within_s"): 2 * drill.fault.limit_s + VERIFY_S,
        }
    )
    commit = worktree.create_repository(root, "scratch copy for a drill")
    return tr("{folder}, commit {commit}", folder=root, commit=commit[:12])


def train(drill: Drill) -> str:
    """Train without the improvements, so that there is something to roll back to. The watcher must see no fault."""
    result = drill.unless_interrupted(routes.immediate(drill.project, RestartPolicy(restart=False), drill.request))
    drill.seen["immediate"] = result.change.operation
    drill.unless_interrupted(lifecycle.start(drill.project, "scratch", drill.request))
    event = drill.await_event((protocol.EVALUATED,), step=drill.fault.healthy_steps)
    _require_healthy(drill)
    lifecycle.stop(drill.project, (), drill.request)
    metrics = drill.project.runbook.metrics
    value = event.get(metrics.quality)
    if not is_number(value):
        return trn("{count} step", "{count} steps", event["step"])
    return tr("{steps} steps, {metric} {value:.4f}", steps=event["step"], metric=metrics.title(metrics.quality),
              value=value)  # fmt: skip


def _require_healthy(drill: Drill) -> None:
    """Raises InterventionNeeded where the watcher sees a fault in the healthy run."""
    seen = once(drill.project, drill.report)
    assert isinstance(seen.data, WatchData)
    drill.seen["healthy"] = seen.data.verdict
    if seen.data.verdict == "fault":
        state = process.observe(drill.project.layout, drill.project.runbook.trainer).state
        raise InterventionNeeded(tr("the healthy run does not look healthy: {headline}", headline=seen.headline),
                                 state=tr("the trainer: {state}", state=state))  # fmt: skip


def record(drill: Drill) -> str:
    """Record the baseline, and take a snapshot."""
    headline = baseline_recording.record_baseline(drill.project, drill.request).headline
    snapshot = backup.create(drill.project, "known-good", "", drill.request)
    assert isinstance(snapshot.data, backup.BackupData)
    drill.seen["snapshot"] = snapshot.data.id
    return headline
