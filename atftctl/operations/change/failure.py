"""End an operation that failed: restore the state of before where nothing was decided, else leave it to recovery."""

from __future__ import annotations

from atftctl.apply.operation import Operation
from atftctl.domain.errors import AtftError, DiskFull, Interrupted, InterventionNeeded, Restored
from atftctl.host.errors import HostError, reason_and_place
from atftctl.protocol.messages import tr
from atftctl.state.reserve import FULL

RECOVER = tr("remove the cause (a full disk?), then run: atftctl recover")


def end_failed(operation: Operation, error: BaseException) -> BaseException:
    """Unwind an operation that was not decided; return the error that says what is true now."""
    if operation.decided and not operation.going_back:
        if isinstance(error, InterventionNeeded):
            return error
        return InterventionNeeded(
            tr(
                "{command} {operation} failed after its change was decided: {reason}",
                command=operation.plan.command,
                operation=operation.id,
                reason=reason_and_place(error),
            ),
            state=tr("the operation is open; some of its files may be in place"),
            hint=RECOVER,
        )
    if isinstance(error, InterventionNeeded):
        return error  # a process that does not exit: the trainer must not be started beside it
    try:
        operation.unwind(error)
    except InterventionNeeded as second:
        return second
    except (OSError, HostError) as second:
        return _unwind_failed(operation, error, second)
    return _unwound(error)


def _unwind_failed(operation: Operation, error: BaseException, second: BaseException) -> InterventionNeeded:
    state = tr("no file of the project has changed; the operation is open")
    if operation.going_back:
        state = tr("some files are the new ones, the others are as they were; the operation is open")
    return InterventionNeeded(
        tr(
            "{reason}; restoring the earlier state failed too: {second}",
            reason=reason_and_place(error),
            second=reason_and_place(second),
        ),
        state=state,
        hint=RECOVER,
    )


def _unwound(error: BaseException) -> BaseException:
    """Return the error as one of the domain, with the state: everything is as it was."""
    state = tr("everything is as it was before the operation")
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(tr("interrupted before the change was decided"), state=state)
    if isinstance(error, OSError) and error.errno in FULL:
        hint = tr("free some disk space, then run this command again")
        return DiskFull(reason_and_place(error), state=state, hint=hint)
    if isinstance(error, OSError | HostError):
        hint = tr("remove the cause, then run this command again")
        return Restored(reason_and_place(error), state=state, hint=hint)
    if isinstance(error, AtftError) and not error.state:
        error.state = state
    return error
