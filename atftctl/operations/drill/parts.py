"""The parts of a drill, in the order in which they run: each does what a user would, and returns what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.errors import Inconclusive, InterventionNeeded
from atftctl.domain.result import Part, Reporter, Result
from atftctl.host.git import worktree
from atftctl.observe.trainer_run import event_log, probes, process
from atftctl.operations.backup import create as backup
from atftctl.operations.drill.scratch_copy import copy_project, set_values
from atftctl.operations.project import Project, open_project
from atftctl.operations.reenable import phase as reenable
from atftctl.operations.reenable.order import Asked
from atftctl.operations.reenable.run import ReenableData
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from atftctl.operations.trainer_process import lifecycle
from atftctl.operations.verification import baseline as baseline_recording
from atftctl.operations.verification import checklist
from atftctl.protocol import Exit, is_number
from atftctl.protocol.messages import joined, tr, trn

STOCKS, HIDDEN = 500, 64  # so big that the activations of a step exceed what torch itself takes
TRAIN_STEPS = 40  # of the baseline model
PROBE_STEPS = 8
MARGIN = 0.5  # where the limit lies between the memory of the rolled-back settings and that of the improvements
LEAST_GAP_MB = 40.0
GATE_STEPS, GATE_CHECKS = 20, ("errors", "service")  # of the gate: the other checks were made a minute before
LIMIT_S = 120.0


@dataclass
class Drill:
    """One rehearsal: its scratch project, and what was seen. `symptom`: the one that is rehearsed."""

    project: Project
    report: Reporter
    symptom: str
    parts: list[Part] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.project.layout.root

    @property
    def request(self) -> Request:
        return Request(reason="drill", report=self.report)

    @property
    def configs(self) -> tuple[str, str]:
        """The paths of the model's config and of the training config."""
        config, training = self.project.runbook.files.configs[:2]
        return config, training

    @property
    def runbook_path(self) -> str:
        return str(self.project.layout.runbook.relative_to(self.root))

    def reopen(self) -> None:
        """Read the runbook again, after it was edited."""
        self.project = open_project(self.root, self.project.language)

    def part(self, name: str, command: str, act: Callable[[], str]) -> None:
        """Run one part, and add a line to the timeline. `command`: what a user would type, "" for nothing."""
        self.report.part(name)
        begun = time.monotonic()
        outcome = act()
        seconds = time.monotonic() - begun
        self.parts.append(Part(name, seconds))
        self.lines.append(f"{seconds:6.1f} s  {name}: {outcome}")
        self.report.note(f"$ {command}" if command else f"({name})")
        self.report.note(tr("  {seconds:.1f} s: {outcome}", seconds=seconds, outcome=outcome))


def run_parts(drill: Drill, home: Path, data: str) -> None:
    """Run all parts. Raises InterventionNeeded or Inconclusive with the obstacle of the first that fails."""
    drill.part("scratch copy", "", lambda: _prepare(drill, home, data))
    drill.part(
        "baseline model",
        "atftctl rollback --immediate; atftctl trainer start",
        lambda: _train_baseline(drill),
    )
    drill.part("baseline", "atftctl baseline record; atftctl backup --label known-good", lambda: _record(drill))
    drill.part("memory limit", "", lambda: _find_limit(drill))
    drill.part("incident", "atftctl trainer start", lambda: _incident(drill))
    drill.part("rollback", f"atftctl rollback --symptom {drill.symptom}", lambda: _roll_back(drill))
    drill.part("verify", "atftctl verify", lambda: _verify(drill))
    drill.part("re-enable", "atftctl reenable --phase 1", lambda: _reenable(drill))


def _prepare(drill: Drill, home: Path, data: str) -> str:
    """Make the scratch copy, with all improvements on. `data`: a file with real prices; "" for synthetic ones."""
    root = copy_project(drill.project, home)
    config, training = drill.configs
    settings: dict[tuple[str, ...], Any] = {
        **_improvements(drill, config, off=set(drill.project.runbook.drill.keep_off)),
        ("model", "hidden_size"): HIDDEN,
        ("data", "synthetic", "stocks"): STOCKS,
    }
    if data:
        settings |= {
            ("data", "path"): data,
            ("data", "train_end"): "2017-12-31",
            ("data", "validation_end"): "2018-12-31",
        }
    set_values(root, config, settings)
    set_values(root, training, {("training", "evaluate_every"): TRAIN_STEPS, ("training", "checkpoint_every"): 10})
    set_values(root, drill.runbook_path, {("checks", "probe_steps"): 50, ("trainer", "memory_limit_mb"): 0})
    commit = worktree.create_repository(root, "scratch copy for a drill")
    drill.project = open_project(root, drill.project.language)
    return tr("{folder}, commit {commit}", folder=root, commit=commit[:12])


def _improvements(drill: Drill, config: str, off: set[str]) -> dict[tuple[str, ...], Any]:
    """Return the settings that turn all improvements of a config on, but for some."""
    return {
        feature.path: feature.baseline if name in off else feature.improved
        for name, feature in drill.project.runbook.features.items()
        if feature.file == config
    }


def _train_baseline(drill: Drill) -> str:
    """Train a model without the improvements, so that there is something to roll back to."""
    result = routes.immediate(drill.project, RestartPolicy(restart=False), drill.request)
    drill.seen["immediate"] = result.change.operation
    lifecycle.start(drill.project, "scratch", drill.request)
    event = _await_event(drill, (protocol.EVALUATED,))
    _await_event(drill, (protocol.CHECKPOINT,), after=float(event["t"]))
    lifecycle.stop(drill.project, (), drill.request)
    metrics = drill.project.runbook.metrics
    value = event.get(metrics.quality)
    if not is_number(value):
        return trn("{count} step", "{count} steps", event["step"])
    return tr("{steps} steps, {metric} {value:.4f}", steps=event["step"], metric=metrics.title(metrics.quality),
              value=value)  # fmt: skip


def _record(drill: Drill) -> str:
    """Record the baseline, and take a snapshot."""
    headline = baseline_recording.record_baseline(drill.project, drill.request).headline
    snapshot = backup.create(drill.project, "known-good", "", drill.request)
    assert isinstance(snapshot.data, backup.BackupData)
    drill.seen["snapshot"] = snapshot.data.id
    return headline


def _find_limit(drill: Drill) -> str:
    """Set a memory limit that the improvements exceed and the rolled-back settings do not, from two short runs."""
    book, (config, training) = drill.project.runbook, drill.configs
    first_phase = book.plans[book.reenable_plan][0].settings
    set_values(drill.root, config, _improvements(drill, config, off={*book.drill.keep_off, *first_phase}))
    set_values(drill.root, training, {("ema", "enabled"): True, ("loss", "type"): "huber"})
    high = _probe_memory(drill)
    before = {name: (drill.root / name).read_bytes() for name in (config, training)}
    rolled_back = {book.feature(name).path: value for name, value in book.symptoms[drill.symptom].settings.items()}
    set_values(drill.root, config, rolled_back)
    set_values(drill.root, training, {("training", "encoder_chunks"): 8})
    low = _probe_memory(drill)
    for name, content in before.items():
        (drill.root / name).write_bytes(content)
    if high - low < LEAST_GAP_MB:
        raise Inconclusive(
            tr(
                "no memory limit separates the settings here: "
                "{high:.0f} MB with the improvements, {low:.0f} MB rolled back",
                high=high,
                low=low,
            )
        )
    limit = int(low + MARGIN * (high - low))
    set_values(drill.root, drill.runbook_path, {("trainer", "memory_limit_mb"): limit})
    drill.reopen()
    drill.seen |= {"improved_mb": high, "rolled_back_mb": low, "limit_mb": limit}
    return tr(
        "{high:.0f} MB with the improvements, {low:.0f} MB rolled back and in chunks: the limit is {limit} MB",
        high=high,
        low=low,
        limit=limit,
    )


def _probe_memory(drill: Drill) -> float:
    """Return the memory in MB that training takes for its data, from a few steps."""
    measured = probes.probe(drill.project.layout, drill.project.runbook, "memory", steps=PROBE_STEPS)
    return float(measured["data_mb"])


def _incident(drill: Drill) -> str:
    """Start the trainer under the limit: it must run out of memory, and write that itself."""
    lifecycle.start(drill.project, "last", drill.request)
    _await_exit(drill)  # it may come up first: the peak can come a few steps later
    observed = process.observe(drill.project.layout, drill.project.runbook.trainer.command)
    event = dict(observed.last_event or {})
    if observed.state != "died" or event.get("event") != protocol.OOM:
        raise InterventionNeeded(
            tr(
                "the trainer did not run out of memory: it is {state}, its last event is {event} ({reason})",
                state=observed.state,
                event=event.get("event"),
                reason=event.get("reason", ""),
            )
        )
    drill.seen["cause"] = event.get("message")
    return cause(event)


def _roll_back(drill: Drill) -> str:
    result = routes.by_symptom(drill.project, drill.symptom, RestartPolicy(), drill.request)
    _require_done(drill, result)
    drill.seen["rollback"] = {part.name: round(part.seconds, 3) for part in result.parts}
    drill.seen["changes"] = result.change.changes
    return _changes_of(result)


def _verify(drill: Drill) -> str:
    result = checklist.verify(drill.project, drill.request)
    data = result.data
    assert isinstance(data, checklist.VerifyData)
    drill.seen["checks"] = {check.name: f"{check.verdict}: {check.detail}" for check in data.checks}
    for check in data.checks:
        drill.report.note(f"    {check.verdict:<12} {check.title}: {check.detail}")
    if result.exit_code is not Exit.DONE:
        failed = joined("; ", checklist.not_passed(data))
        raise InterventionNeeded(
            tr("verify: {verdict}: {checks}", verdict=data.verdict, checks=failed), state=_scratch_copy(drill)
        )
    return trn("{count} check passed", "{count} checks passed", len(data.checks))


def _reenable(drill: Drill) -> str:
    """Turn the first phase on, and judge it by a short gate: that of the runbook would take longer than all other
    parts together."""
    runbook = drill.project.runbook
    first, *others = runbook.plans[runbook.reenable_plan]
    short = replace(first, gate=replace(first.gate, steps=GATE_STEPS, checks=GATE_CHECKS, quality=""))
    plans = {**runbook.plans, runbook.reenable_plan: (short, *others)}
    project = replace(drill.project, runbook=replace(runbook, plans=plans))
    result = reenable.phase(project, Asked(1), RestartPolicy(), drill.request)
    _require_done(drill, result)
    assert isinstance(result.data, ReenableData)
    drill.seen["gate"] = {line.name: f"{line.verdict}: {line.detail}" for line in result.data.gate}
    return tr("{changes}; {verdict}", changes="; ".join(result.data.changes), verdict=result.headline)


def _require_done(drill: Drill, result: Result) -> None:
    """Raises InterventionNeeded for an operation that did not succeed."""
    if result.exit_code is not Exit.DONE:
        raise InterventionNeeded(result.headline, state=_scratch_copy(drill))


def _changes_of(result: Result) -> str:
    return tr("{changes}; first step seen", changes="; ".join(result.change.changes))


def _scratch_copy(drill: Drill) -> str:
    return tr("the scratch copy is {folder}", folder=drill.root)


def _await_event(drill: Drill, wanted: tuple[str, ...], after: float = 0.0) -> dict[str, Any]:
    """Return the first event of these kinds. `after`: not before this time, in seconds. Raises InterventionNeeded."""
    record = process.read_record(drill.project.layout)
    if record is None:
        raise InterventionNeeded(tr("no trainer was started"))
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        alive = process.identity(drill.project.layout, record) is not None
        for event in event_log.events(drill.root, offset=record.events_from, run_id=record.run_id):
            if event["event"] in wanted and event["t"] >= after:
                return event
        if not alive:
            break
        time.sleep(0.05)
    raise InterventionNeeded(
        tr("the trainer wrote no event of this kind: {events}", events=", ".join(wanted)),
        state=tr("its log is {path}", path=drill.root / protocol.LOG),
    )


def _await_exit(drill: Drill) -> None:
    """Wait for the trainer to exit. Raises InterventionNeeded where it does not within the time limit."""
    record = process.read_record(drill.project.layout)
    deadline = time.monotonic() + LIMIT_S
    while record and process.identity(drill.project.layout, record) is not None:
        if time.monotonic() >= deadline:
            raise InterventionNeeded(
                tr("the trainer did not run out of memory within {seconds:g} s under the limit", seconds=LIMIT_S)
            )
        time.sleep(0.05)
