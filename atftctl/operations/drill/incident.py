"""The incident: the trainer runs with the fault, the watcher sees it, rolls back by itself, and says what came of it.

It is the operation of `watch --auto`, in this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from atftctl import protocol
from atftctl.decide.acting.signals import signals_of
from atftctl.domain.acting import Act
from atftctl.domain.errors import Inconclusive, InterventionNeeded
from atftctl.domain.watching import Look
from atftctl.observe.trainer_run import event_log, process
from atftctl.operations.drill.drill import Drill
from atftctl.operations.drill.timeline import TimedReporter
from atftctl.operations.monitoring.watch import watch
from atftctl.operations.trainer_process import lifecycle
from atftctl.protocol.messages import joined, tr
from atftctl.state import acts, history

INTERVAL_S = 0.2
FATAL = (protocol.OOM, protocol.ANOMALY)


def run(drill: Drill) -> str:
    """Start the trainer with the fault, and watch until the watcher has rolled back, and has seen the new trainer.
    Raises InterventionNeeded where the fault was not seen, or was taken for another one."""
    drill.unless_interrupted(lifecycle.start(drill.project, drill.fault.resume, drill.request))
    act = _watch(drill, lambda act: act.from_step >= 0 or bool(act.outcome))  # it counts healthy steps from then on
    drill.seen["act"] = {"operation": act.operation, "evidence": list(act.evidence)}
    return tr("{evidence}: rolled back ({operation})", evidence=joined("; ", act.evidence[:2]),
              operation=act.operation)  # fmt: skip


def settle(drill: Drill) -> str:
    """Go on watching until the watcher says what became of its rollback. Raises InterventionNeeded where the fault is
    not cured, Inconclusive where that can't be told."""
    act = _watch(drill, lambda act: bool(act.outcome))
    drill.seen["act"] |= {"outcome": act.outcome}
    if act.outcome == "inconclusive":
        raise Inconclusive(tr("the watcher can't tell what became of its rollback"))
    if act.outcome != "restored":
        raise InterventionNeeded(tr("the watcher's verdict on its rollback: {outcome}", outcome=act.outcome))
    return tr("the watcher's verdict on its rollback: {outcome}", outcome=act.outcome)


def _watch(drill: Drill, is_over: Callable[[Act], bool]) -> Act:
    """Watch until that holds of the watcher's rollback."""
    report, line = TimedReporter(drill.report), drill.timeline
    deadline = time.monotonic() + drill.fault.limit_s
    with closing(watch(drill.project, report, INTERVAL_S, "auto")) as looks:
        for seen in looks:
            _show(drill, [said.text for said in seen.lines])
            act = _newest(drill)
            if act is None or not act.ended:
                _note(drill, seen.look)
            elif not line.ended:
                _rolled_back(drill, act, report)
            if act and act.ended and is_over(act):
                return act
            if (stopped := acts.read(drill.project.layout).stopped) is not None:
                raise InterventionNeeded(tr("the watcher called for a person: {reason}", reason=stopped.why))
            if time.monotonic() > deadline:
                raise _too_late(drill, seen.look, act)
    raise AssertionError("a watch ends only when it is closed")


def _show(drill: Drill, lines: list[str]) -> None:
    for text in lines:
        drill.report.note(joined("", ("    ", text)))


def _newest(drill: Drill) -> Act | None:
    known = [act for act in acts.read(drill.project.layout).acts if act.mode == "auto"]
    if known and known[-1].symptom != drill.symptom:
        raise InterventionNeeded(tr("the fault was taken for {symptom}", symptom=known[-1].symptom))
    return known[-1] if known else None


def _note(drill: Drill, look: Look) -> None:
    """Keep when the fault began, and when the watcher first named the symptom."""
    line = drill.timeline
    named = {each.symptom for each in signals_of(drill.project.runbook, look.diagnosis)}
    line.fault = line.fault or _began(drill)
    if not line.alarm and drill.symptom in named:
        line.fault, line.alarm = _began(drill), look.now


def _began(drill: Drill) -> float:
    """When the fault began, in Unix seconds: with the fatal event, else with the first step of the trainer."""
    record = process.read_record(drill.project.layout)
    if record is None:
        return 0.0
    events = list(event_log.events(drill.root, offset=record.events_from, run_id=record.run_id))
    for kinds in (FATAL, (protocol.FIRST_STEP,)):
        for event in events:
            if event["event"] in kinds and not event.get("recoverable"):
                return float(event["t"])
    return 0.0


def _rolled_back(drill: Drill, act: Act, report: TimedReporter) -> None:
    line = drill.timeline
    line.decided, line.ended = act.at, time.time()
    line.fault, line.alarm = line.fault or act.at, line.alarm or act.at
    entry = next((entry for entry in history.read(drill.project.layout) if entry["operation"] == act.operation), {})
    line.parts = {str(name): float(seconds) for name, seconds in entry.get("parts", {}).items()}
    line.graded_s = report.graded_s()
    drill.seen["rollback"] = dict(line.parts)
    drill.seen["changes"] = list(entry.get("changes", []))


def _too_late(drill: Drill, look: Look, act: Act | None) -> InterventionNeeded:
    seconds = drill.fault.limit_s
    if act is None:
        state = look.diagnosis.main.cause if look.diagnosis.main else joined("; ", look.diagnosis.unknown) or "healthy"
        return InterventionNeeded(
            tr("the watcher did not act within {seconds:g} s; it saw: {cause}", seconds=seconds, cause=state)
        )
    return InterventionNeeded(tr("it is not known after {seconds:g} s what came of the rollback", seconds=seconds))
