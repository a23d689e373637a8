"""What `status` and `doctor` say of a change that waits for its confirmation."""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.domain.pending import PendingChange, clock_text
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.operations.change.waiting import is_due
from atftctl.operations.project import Project
from atftctl.operations.report.fault import Fault
from atftctl.protocol.messages import tr
from atftctl.state import confirm_timer, pending


@record
class PendingData(Data):
    """A change that waits for its confirmation.

    operation: its id. command: the command that made it. title: what it did. asked_by: who made it. reason: its reason.
    deadline: when it is undone unless it is confirmed (ISO 8601). left_s: seconds that are left; 0 where the time is
    over. by_verify: whether a passing `verify` confirms it, too. timer_alive: whether the process lives that undoes it.
    problem: why its undo failed, or empty.
    """

    operation: str
    command: str
    title: str
    asked_by: str
    reason: str
    deadline: str
    left_s: float
    by_verify: bool
    timer_alive: bool
    problem: str


def waiting(project: Project) -> PendingData | None:
    """Return what is known of the change that waits; None where none does, or its record can't be read."""
    change = _read(project)
    if change is None:
        return None
    return PendingData(
        operation=change.operation,
        command=change.command,
        title=change.title,
        asked_by=change.operator,
        reason=change.reason,
        deadline=change.deadline_at,
        left_s=round(max(change.left_s(pending.moment()), 0.0), 1),
        by_verify=change.by_verify,
        timer_alive=confirm_timer.living(project.layout, change.operation) is not None,
        problem=change.problem,
    )


def lines(project: Project) -> list[str]:
    """Return the line on a change that waits, as long as its time lasts; empty where none waits."""
    change = _read(project)
    if change is None or is_due(change):
        return []
    now = change.summary(pending.moment())
    return [tr("{change} → to keep it: atftctl confirm; to undo it: atftctl undo", change=now)]


def faults(project: Project) -> list[Fault]:
    """Return what is wrong with the wait: its undo failed or has not come, its timer is dead, its record is damaged."""
    try:
        change = pending.read(project.layout)
    except Refused as error:
        return [Fault("confirmation", error.message, error.hint, blocks=True)]
    if change is None:
        return []
    alive = confirm_timer.living(project.layout, change.operation) is not None
    if change.problem:
        message = tr(
            "THE UNDO FAILED of {change}, which was not confirmed in time: {reason}",
            change=change.name,
            reason=change.problem,
        )
        hint = tr("atftctl undo {operation}; to keep the change: atftctl confirm", operation=change.operation)
        return [Fault("confirmation", message, hint, blocks=True)]
    if is_due(change) and not alive:
        message = tr(
            "{change} was not confirmed by {time}, and is not undone yet", change=change.name, time=change.until
        )
        return [Fault("confirmation", message, tr("atftctl undo {operation}", operation=change.operation), blocks=True)]
    if is_due(change):
        since = clock_text(change.expired_at) if change.expired_at else change.until
        message = tr("{change} is being undone since {time}: it was not confirmed", change=change.name, time=since)
        return [Fault("confirmation", message, blocks=True)]
    if not alive:
        message = tr("the process is gone that undoes {change} unless it is confirmed", change=change.name)
        return [Fault("confirmation", message, tr("to start it again: atftctl recover"), blocks=True)]
    return []


def _read(project: Project) -> PendingChange | None:
    try:
        return pending.read(project.layout)
    except Refused:
        return None  # it is one of the faults
