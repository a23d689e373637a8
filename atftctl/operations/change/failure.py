"""How an operation that failed ends: put back where nothing was decided, left open and said where it was."""

from __future__ import annotations

from atftctl.apply.operation import Operation
from atftctl.domain.errors import AtftError, DiskFull, Interrupted, InterventionNeeded, Restored
from atftctl.host.errors import HostError, reason_and_place
from atftctl.state.reserve import FULL


def ended_badly(operation: Operation, error: BaseException) -> BaseException:
    """Put back what had not been decided; say what stands where it had been."""
    if operation.decided and not operation.going_back:
        if isinstance(error, InterventionNeeded):
            return error
        return InterventionNeeded(
            f"{operation.plan.command} {operation.id} was decided, and then: {reason_and_place(error)}",
            state="the operation stays open; its files may be partly in place",
            hint="remove the cause (a full disk?), then: atftctl recover",
        )
    if isinstance(error, InterventionNeeded):
        return error  # a process that will not die: the trainer is not started beside it
    try:
        operation.unwind(error)
    except InterventionNeeded as second:
        return second
    except (OSError, HostError) as second:
        partly = "some files are the new ones, the others are as they were"
        files = partly if operation.going_back else "no file of the project has changed"
        return InterventionNeeded(
            f"{reason_and_place(error)}; putting back failed too: {reason_and_place(second)}",
            state=f"{files}; the operation stays open",
            hint="remove the cause, then: atftctl recover",
        )
    return _put_back(error)


def _put_back(error: BaseException) -> BaseException:
    """The same end in the words of the domain."""
    stands = "everything is as it was"
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted before the decision", state=stands)
    if isinstance(error, OSError) and error.errno in FULL:
        return DiskFull(reason_and_place(error), state=stands, hint="make room, then run it again")
    if isinstance(error, OSError | HostError):
        return Restored(reason_and_place(error), state=stands, hint="remove the cause, then run it again")
    if isinstance(error, AtftError) and not error.state:
        error.state = stands
    return error
