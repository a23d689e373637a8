"""The undo of a change that was not confirmed in time. The timer carries it out; where the timer is gone, as after a
reboot, the next command that changes something does, before anything else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import AtftError, Busy, Refused, UsageError
from atftctl.domain.pending import PendingChange
from atftctl.domain.result import Reporter, Result
from atftctl.host.errors import HostError, reason
from atftctl.host.self_copy import private_copy
from atftctl.operations.change.confirmation import start_again
from atftctl.operations.change.project_lock import locked, recover_first
from atftctl.operations.change.waiting import is_due, refuse_other
from atftctl.operations.project import Project, open_operation
from atftctl.operations.request import Request
from atftctl.operations.rollback.auto_undo import reload_restored
from atftctl.operations.undo import undo
from atftctl.protocol.messages import tr
from atftctl.state import confirm_timer, pending


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
                hint=tr("atftctl undo {operation}", operation=undoes),
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
        start_again(project, change, request)


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


def expire(project: Project, change: PendingChange, report: Reporter) -> Result | None:
    """Undo a change whose time is over; None where somebody was faster: it was confirmed or undone, or has more time.

    Raises Busy while another process holds the lock; AtftError, HostError, OSError where the undo failed. The record
    then stays, with the reason.
    """
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
    problem = reload_restored(project, request)
    return replace(result, lines=(*result.lines, problem)) if problem else result


def _record_problem(project: Project, operation: str, problem: str, request: Request) -> None:
    """Record why the undo failed, for `status`. Where that can't be written, the log of the timer has it."""
    with suppress(AtftError, HostError, OSError), locked(project, "undo", request):
        current = pending.read(project.layout)
        if current is not None and current.operation == operation:
            pending.write(project.layout, replace(current, problem=str(problem)))
