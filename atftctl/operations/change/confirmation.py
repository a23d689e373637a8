"""`--confirm-within`: a change that is undone by itself unless it is confirmed in time.

The record of the wait is written, and the timer started, before the change is decided: whenever the operator's process
is killed, either nothing was changed, or a timer runs. Whether the change is confirmed or undone is decided under the
project's lock.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from atftctl.apply import confirm_timer as timer
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import AtftError, Busy, Refused, UsageError
from atftctl.domain.pending import PendingChange
from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.operations.change.project_lock import locked, recover_first
from atftctl.operations.change.waiting import from_now, is_due, refuse_other
from atftctl.operations.project import Project, open_operation
from atftctl.operations.request import Request
from atftctl.protocol.messages import tr
from atftctl.state import confirm_timer, pending
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.apply.operation import Operation
    from atftctl.domain.result import Reporter, Result


def arm(layout: Layout, operation: Operation) -> None:
    """Before the change: record that it waits, and start the timer. Raises HostError, OSError."""
    step = operation.plan.confirmation
    if step is None:
        return
    now = pending.moment()
    home = timer.home_for(layout, operation.id)
    change = PendingChange(
        operation=operation.id,
        command=operation.plan.command,
        title=operation.plan.title,
        operator=locks.operator(),
        reason=operation.inputs.reason,
        asked_at=now.wall.isoformat(timespec="seconds"),
        within_s=step.within_s,
        deadline=0.0,
        boot="",
        deadline_at="",
        by_verify=step.by_verify,
        restart=step.restart,
        live=step.live,
        tool=str(home),
    )
    pending.write(layout, from_now(change))
    timer.start(layout, operation.id, home)


def attend(project: Project, request: Request, *, undoes: str = "") -> None:
    """Before a change is planned: carry out an overdue undo, then refuse the change while another one waits.

    `undoes`: the operation that the change undoes. Raises Refused; UsageError for the undo of the change that waits, if
    it is to be confirmed itself.
    """
    if request.dry_run:
        return
    change = pending.read(project.layout)
    if change is not None and change.operation == undoes:
        if request.confirm_within is not None:
            raise UsageError(
                tr("--confirm-within can't be used here: {operation} has not been confirmed itself", operation=undoes),
                hint=f"atftctl undo {undoes}",
            )
        return
    expire_overdue(project, request)
    refuse_other(project.layout, undoes)


def expire_overdue(project: Project, request: Request) -> None:
    """Carry out the undo of a change whose time is over; start the timer of any other one again where it has died.

    Raises Refused where the undo fails: the project is not in the state that it should be in.
    """
    layout = project.layout
    change = pending.read(layout)
    if change is not None and open_operation(layout):
        recover_first(project, "recover", request)
        change = pending.read(layout)
    if change is not None and is_due(change):
        _expire_first(project, change, request)
    elif change is not None and not confirm_timer.living(layout, change.operation):
        _start_again(project, change, request)


def _expire_first(project: Project, change: PendingChange, request: Request) -> None:
    """Carry out an overdue undo before another command, and say so. Raises Busy, Refused."""
    try:
        result = expire(project, change, request.report)
    except Busy:
        raise
    except (AtftError, HostError, OSError) as error:
        raise Refused(
            tr("the overdue undo of {change} failed: {reason}", change=change.name, reason=reason(error)),
            state=tr("the change is in place, though it was not confirmed in time"),
            hint=tr(
                "remove the cause, then run: atftctl undo {operation}; to keep the change: atftctl confirm",
                operation=change.operation,
            ),
        ) from None
    if result:
        request.report.note(tr("undone first: {change}: {reason}", change=change.name, reason=change.why_undone))
        for contact in project.contacts:
            request.report.note(tr("contact: {contact}", contact=contact))


def _start_again(project: Project, change: PendingChange, request: Request) -> None:
    """Start the timer of a change again; after a reboot, for instance. Where that fails, it is only noted: the next
    changing command tries it again, and carries the undo out when it is due."""
    layout = project.layout
    try:
        with locked(project, "confirm", request):
            current = pending.read(layout)
            if current is None or current.operation != change.operation:
                return
            home = timer.home_for(layout, change.operation)
            now, left = pending.moment(), max(current.left_s(pending.moment()), 0.0)
            pending.write(layout, replace(current, tool=str(home), deadline=now.boottime + left, boot=now.boot))
            timer.start(layout, change.operation, home)
    except (AtftError, HostError, OSError) as error:
        request.report.note(
            tr(
                "the timer of {operation} could not be started: {reason}",
                operation=change.operation,
                reason=reason(error),
            )
        )


def expire(project: Project, change: PendingChange, report: Reporter) -> Result | None:
    """Undo a change whose time is over; None where somebody was faster: it was confirmed or undone, or has more time.

    Raises Busy while another process holds the lock; AtftError, HostError, OSError where the undo failed. The record
    then stays, with the reason.
    """
    from atftctl.host.self_copy import private_copy
    from atftctl.operations.undo import undo

    layout = project.layout
    request = Request(reason=change.why_undone, report=report)
    private_copy.go_private(layout.root, layout.tools)  # the undo may change our own code
    with locked(project, "undo", request):
        current = pending.read(layout)
        if current is None or current.operation != change.operation or not is_due(current):
            return None
        with suppress(OSError):  # on a full disk the undo is tried all the same
            at = current.expired_at or pending.moment().wall.isoformat(timespec="milliseconds")
            pending.write(layout, replace(current, expired_at=at, problem=""))
    restart = current.restart and not current.live and bool(project.runbook.trainer.command)
    try:
        result = undo(project, current.operation, RestartPolicy(restart=restart), request, expired=True)
    except Busy:
        raise
    except (AtftError, HostError, OSError) as error:
        if pending.settled_as(layout, change.operation) == "undone":
            return None
        _record_problem(project, change.operation, reason(error), request)
        raise
    return _with_reload(project, result, request) if current.live else result


def _with_reload(project: Project, result: Result, request: Request) -> Result:
    """Have the trainer that had loaded the change load the restored settings."""
    from atftctl.operations.rollback.auto_undo import reload_restored

    problem = reload_restored(project, request)
    return replace(result, lines=(*result.lines, problem)) if problem else result


def _record_problem(project: Project, operation: str, problem: str, request: Request) -> None:
    """Record why the undo failed, for `status`. Where that can't be written, the log of the timer has it."""
    with suppress(AtftError, HostError, OSError), locked(project, "undo", request):
        current = pending.read(project.layout)
        if current is not None and current.operation == operation:
            pending.write(project.layout, replace(current, problem=str(problem)))
