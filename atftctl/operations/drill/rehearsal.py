"""`drill`: the main job rehearsed in a scratch copy. A real trainer really runs out of memory; only the limit is
chosen."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.symptoms import find_symptom
from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.errors import Inconclusive, InterventionNeeded, Refused, UsageError
from atftctl.domain.result import Part, Reporter, Result
from atftctl.host.git import worktree
from atftctl.observe.trainer_run import event_log, probes, process
from atftctl.operations import reenable
from atftctl.operations.backup import create as backup
from atftctl.operations.drill.scratch_copy import copy_project, set_values
from atftctl.operations.project import Project, open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from atftctl.operations.trainer_process import lifecycle
from atftctl.operations.verification import baseline as baseline_recording
from atftctl.operations.verification import checklist
from atftctl.protocol import Exit

STOCKS, HIDDEN = 500, 64  # big enough that a step's activations stand out from what torch itself takes
TRAIN_STEPS = 40  # of the baseline model
PROBE_STEPS = 8
MARGIN = 0.5  # where the limit lies between what the rolled-back settings need and what the improvements need
LEAST_GAP_MB = 40.0
LIMIT_S = 120.0


@dataclass
class Drill:
    """One rehearsal: its scratch project, and what was seen."""

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

    def reopen(self) -> None:
        self.project = open_project(self.root, self.project.language)

    def part(self, name: str, command: str, act: Callable[[], str]) -> None:
        """One part of the timeline: what a user would type, what came of it, how long it took."""
        self.report.part(name)
        begun = time.monotonic()
        words = act()
        seconds = time.monotonic() - begun
        self.parts.append(Part(name, seconds))
        self.lines.append(f"{seconds:6.1f} s  {name}: {words}")
        self.report.note(f"$ {command}" if command else f"({name})")
        self.report.note(f"  {seconds:.1f} s: {words}")


def run(project: Project, symptom: str, data: str, report: Reporter, *, keep: bool) -> Result:
    """Every part must come out as it should; the first that does not ends the drill with what stands in its way."""
    name, _ = find_symptom(project.runbook, symptom or project.runbook.symptom_by("out-of-memory"))
    if project.runbook.symptoms[name].detector != "out-of-memory":
        rehearsed = project.runbook.symptom_by("out-of-memory")
        hint = f"atftctl drill --symptom {rehearsed}" if rehearsed else "no symptom of the runbook has this detector"
        raise UsageError(f"there is no drill for {name}: only out-of-memory is rehearsed", hint=hint)
    if data and not Path(data).is_file():
        raise UsageError(f"{data}: no such file")
    home = Path(tempfile.mkdtemp(prefix="atftctl-drill-"))
    begun = time.monotonic()
    drill = Drill(project, report, name)
    try:
        _rehearse(drill, home, str(Path(data).absolute()) if data else "")
    finally:
        _clean_up(drill, home, keep=keep)
    total = time.monotonic() - begun
    rollback_s = next(part.seconds for part in drill.parts if part.name == "rollback")
    target = project.runbook.symptoms[name].minutes
    return Result(
        "drill",
        Exit.DONE,
        f"drill passed in {total:.0f} s: out of memory, rolled back in {rollback_s:.1f} s (target {target} min), "
        "verified, phase 1 is back",
        lines=(f"the scratch copy is {home / 'project'}",) if keep else (),
        data={"total_s": total, "seen": drill.seen, "timeline": drill.lines},
        parts=tuple(drill.parts),
    )


def _rehearse(drill: Drill, home: Path, data: str) -> None:
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
    root = copy_project(drill.project, home)
    config, training = drill.project.runbook.files.configs[:2]
    book = drill.project.runbook
    on = {
        feature.path: feature.baseline if name in book.drill.keep_off else feature.improved
        for name, feature in book.features.items()
        if feature.file == config
    }
    settings: dict[tuple[str, ...], Any] = {
        **on,
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
    runbook = str(drill.project.layout.runbook.relative_to(drill.project.layout.root))
    set_values(root, runbook, {("checks", "probe_steps"): 50, ("trainer", "memory_limit_mb"): 0})
    commit = worktree.create_repository(root, "scratch copy for a drill")
    drill.project = open_project(root, drill.project.language)
    return f"{root}, commit {commit[:12]}"


def _train_baseline(drill: Drill) -> str:
    """A model at the level of before the improvements, trained here and now, so that there is something to fall
    back to."""
    done = routes.immediate(drill.project, RestartPolicy(restart=False), drill.request)
    drill.seen["immediate"] = done.change.operation
    lifecycle.start(drill.project, "scratch", drill.request)
    event = _await(drill, (protocol.EVALUATED,))
    _await(drill, (protocol.CHECKPOINT,), after=float(event["t"]))
    lifecycle.stop(drill.project, (), drill.request)
    return f"{event['step']} steps, RankIC@1d {event['rankic_h1']:.4f}"


def _record(drill: Drill) -> str:
    words = baseline_recording.record_baseline(drill.project, drill.request).headline
    snapshot = backup.create(drill.project, "known-good", "", drill.request)
    drill.seen["snapshot"] = snapshot.data["id"]
    return words


def _find_limit(drill: Drill) -> str:
    """Two short real runs: with the improvements, and rolled back and cut up. The limit lies between, with a margin."""
    config, training = drill.project.runbook.files.configs[:2]
    improved = _incident_settings(drill, config)
    rolled_back = {
        drill.project.runbook.feature(name).path: value
        for name, value in drill.project.runbook.symptoms[drill.symptom].settings.items()
    }
    set_values(drill.root, config, improved)
    set_values(drill.root, training, {("ema", "enabled"): True, ("loss", "type"): "huber"})
    with_improvements = probes.probe(drill.project.layout, drill.project.runbook, "memory", steps=PROBE_STEPS)
    before = {name: (drill.root / name).read_bytes() for name in (config, training)}
    set_values(drill.root, config, rolled_back)
    set_values(drill.root, training, {("training", "encoder_chunks"): 8})
    after = probes.probe(drill.project.layout, drill.project.runbook, "memory", steps=PROBE_STEPS)
    for name, content in before.items():
        (drill.root / name).write_bytes(content)
    high, low = with_improvements["data_mb"], after["data_mb"]
    if high - low < LEAST_GAP_MB:
        figures = f"{high:.0f} MB with the improvements, {low:.0f} MB rolled back"
        raise Inconclusive(f"no memory limit tells the settings apart here: {figures}")
    limit = int(low + MARGIN * (high - low))
    runbook = str(drill.project.layout.runbook.relative_to(drill.root))
    set_values(drill.root, runbook, {("trainer", "memory_limit_mb"): limit})
    drill.reopen()
    drill.seen |= {"improved_mb": high, "rolled_back_mb": low, "limit_mb": limit}
    return f"{high:.0f} MB with the improvements, {low:.0f} MB rolled back and in pieces: the limit is {limit} MB"


def _incident_settings(drill: Drill, config: str) -> dict[tuple[str, ...], Any]:
    """All improvements on but two: the recovery that would save it, and phase 1, so that it can be brought back
    later."""
    book = drill.project.runbook
    off = {*book.drill.keep_off, *book.plans[book.reenable_plan][0].settings}
    return {
        feature.path: feature.baseline if name in off else feature.improved
        for name, feature in book.features.items()
        if feature.file == config
    }


def _incident(drill: Drill) -> str:
    """The trainer must die of it, and say so itself."""
    lifecycle.start(drill.project, "last", drill.request)
    _await_death(drill)  # it may come up first: the peak can come a few steps later
    found = process.observe(drill.project.layout, drill.project.runbook.trainer.command)
    event = dict(found.last_event or {})
    if found.state != "died" or event.get("event") != protocol.OOM:
        word = f"{event.get('event')}: {event.get('reason', '')}"
        raise InterventionNeeded(f"no out of memory came: the trainer is {found.state}, its last word {word}")
    drill.seen["cause"] = event.get("message")
    return cause(event)


def _roll_back(drill: Drill) -> str:
    done = routes.by_symptom(drill.project, drill.symptom, RestartPolicy(), drill.request)
    if done.exit_code is not Exit.DONE:
        raise InterventionNeeded(done.headline, state=f"the scratch copy is {drill.root}")
    drill.seen["rollback"] = {part.name: round(part.seconds, 3) for part in done.parts}
    drill.seen["changes"] = done.change.changes
    return f"{'; '.join(done.change.changes)}; first step seen"


def _verify(drill: Drill) -> str:
    done = checklist.verify(drill.project, drill.request)
    drill.seen["checks"] = {check["name"]: f"{check['verdict']}: {check['detail']}" for check in done.data["checks"]}
    for check in done.data["checks"]:
        drill.report.note(f"    {check['verdict']:<12} {check['name']}: {check['detail']}")
    if done.exit_code is not Exit.DONE:
        wrong = "; ".join(
            f"{check['name']}: {check['detail']}" for check in done.data["checks"] if check["verdict"] != "pass"
        )
        raise InterventionNeeded(f"verify: {done.data['verdict']}: {wrong}", state=f"the scratch copy is {drill.root}")
    return f"{len(done.data['checks'])} checks passed"


def _reenable(drill: Drill) -> str:
    done = reenable.phase(drill.project, 1, "", RestartPolicy(), drill.request)
    if done.exit_code is not Exit.DONE:
        raise InterventionNeeded(done.headline, state=f"the scratch copy is {drill.root}")
    return f"{'; '.join(done.change.changes)}; first step seen"


def _await(drill: Drill, wanted: tuple[str, ...], after: float = 0.0) -> dict[str, Any]:
    record = process.read_record(drill.project.layout)
    if record is None:
        raise InterventionNeeded("no trainer was started")
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        living = process.identity(drill.project.layout, record) is not None
        for event in event_log.events(drill.root, offset=record.events_from, run_id=record.run_id):
            if event["event"] in wanted and event["t"] >= after:
                return event
        if not living:
            break
        time.sleep(0.05)
    raise InterventionNeeded(
        f"the trainer never came to: {' or '.join(wanted)}", state=f"its log is {drill.root / protocol.LOG}"
    )


def _await_death(drill: Drill) -> None:
    record = process.read_record(drill.project.layout)
    deadline = time.monotonic() + LIMIT_S
    while record and process.identity(drill.project.layout, record) is not None:
        if time.monotonic() >= deadline:
            raise InterventionNeeded(f"no out of memory within {LIMIT_S:g} s under the limit")
        time.sleep(0.05)


def _clean_up(drill: Drill, home: Path, *, keep: bool) -> None:
    """Nothing of a drill stays behind, whatever ended it."""
    if drill.root != home / "project":
        shutil.rmtree(home, ignore_errors=True)
        return
    request = dataclasses.replace(drill.request, reason="the drill is over")
    try:
        lifecycle.stop(drill.project, (), request)
    except (Refused, InterventionNeeded) as error:
        drill.report.note(f"the drill's trainer may still run: {error.message}")
        return
    if not keep:
        shutil.rmtree(home, ignore_errors=True)
