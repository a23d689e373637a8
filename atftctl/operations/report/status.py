"""`status`: the state of the service, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.decide.plans.setting_changes import state
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Process
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.host import locks
from atftctl.observe.snapshots.catalog import last_good, newest
from atftctl.operations.change.project_lock import held_by
from atftctl.operations.project import Project, observe
from atftctl.operations.report import confirmation
from atftctl.operations.report import watcher as watchers
from atftctl.operations.report.fault import Fault
from atftctl.operations.report.health import faults
from atftctl.operations.report.metrics_data import CurveData
from atftctl.operations.report.recent import recent
from atftctl.operations.trainer_process import status as trainer_status
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import history
from atftctl.state import staged as staged_state


@record
class FeatureState(Data):
    """One improvement.

    state: `on`, `off`, `not set`, `unreadable`, or its value. title: its title in the operator's language.
    """

    state: str
    title: str


@record
class StatusData(Data):
    """Data of `status`.

    service: the name of the service. features: the improvements, by name. trainer: the data of `trainer status`.
    snapshots: number of snapshots. latest_snapshot: the snapshot that `latest` means, or null. last_good: the newest
    verified-good snapshot, or null. open_operation: the operation that a crash left unfinished, or null.
    last_operation: the newest line of the history, or null. reenabling: where the phases of `reenable` stand, or null.
    locked_by: who holds the project's lock: `operator`, `pid`, `command`, `reason`, `since`; or null. pending: the
    change that waits for its confirmation, or null. watcher: the watcher, or null where none runs and none has ever
    acted. faults: what is wrong, the most urgent first. recent: curves of the
    newest metrics by role: `quality`, `loss`, `memory`.
    """

    service: str
    features: Mapping[str, FeatureState]
    trainer: trainer_status.TrainerStatusData
    snapshots: int
    latest_snapshot: str | None
    last_good: str | None
    open_operation: str | None
    last_operation: Mapping[str, Any] | None
    reenabling: str | None
    locked_by: Mapping[str, str] | None
    pending: confirmation.PendingData | None
    watcher: watchers.WatcherData | None
    faults: tuple[Fault, ...]
    recent: Mapping[str, CurveData]


def status(project: Project) -> Result:
    """Show the state of the service. Changes nothing, takes no lock, needs no PyTorch."""
    facts = observe(project)
    entries = history.read(project.layout)
    holder = locks.holder(project.layout.lock)
    good, latest = last_good(project.layout, facts.snapshots), newest(project.layout, facts.snapshots)
    problems = faults(project, facts)
    held = [held_by(holder)] if holder is not None else []
    lines = [*_interrupted_staged(project), *confirmation.lines(project), *held]
    if facts.process.waiting:
        lines.append(trainer_status.waiting_text(facts.process))
    waiting = confirmation.waiting(project)
    watcher = watchers.watcher(project)
    if watcher and watcher.stopped:
        lines.append(tr("the watcher has called for a person, and acts no more: {reason}", reason=watcher.stopped))
    data = StatusData(
        service=project.runbook.service,
        features={
            name: FeatureState(value, project.runbook.feature(name).title.say(project.language))
            for name, value in state(project.runbook, facts).items()
        },
        trainer=trainer_status.describe(facts.process),
        snapshots=len(facts.snapshots),
        latest_snapshot=latest.id if latest else None,
        last_good=good.id if good else None,
        open_operation=facts.open_operation.id if facts.open_operation else None,
        last_operation=entries[-1] if entries else None,
        reenabling=_reenabling(project),
        locked_by=holder,
        pending=waiting,
        watcher=watcher,
        faults=tuple(problems),
        recent=recent(project),
    )
    return Result(
        "status",
        Exit.DONE,
        _headline(project.runbook.service, facts.process),
        lines=(*lines, *(fault.text for fault in problems)),
        data=data,
        contacts=project.contacts if (waiting and waiting.problem) or (watcher and watcher.stopped) else (),
    )


def _headline(service: str, process: Process) -> Message:
    parts: list[str] = [tr("{service}: trainer {state}", service=service, state=STATE_TEXTS[process.state])]
    if process.pid:
        parts.append(process.name)
    if process.generation:
        parts.append(tr("generation {number}", number=process.generation))
    if process.step is not None:
        parts.append(tr("step {step}", step=process.step))
    return joined(", ", parts)


def _reenabling(project: Project) -> str | None:
    """Say where the phases of `reenable` stand; None where none was begun."""
    if not (project.layout.reenable.exists() or project.layout.reenable_halt.exists()):
        return None
    from atftctl.operations.reenable import standings  # most projects have no open phase

    try:
        return standings.summary(project)
    except Refused as error:
        return error.message


def _interrupted_staged(project: Project) -> list[str]:
    """Say that a staged rollback was not finished; empty where there is none."""
    try:
        staged = staged_state.read(project.layout)
    except Refused as error:
        return [error.message]
    if not staged:
        return []
    return [
        tr(
            "{state} (since {started}, by {operator}) → atftctl resume",
            state=staged.summary,
            started=staged.started,
            operator=staged.operator,
        )
    ]
