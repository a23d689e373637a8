"""How an operation that failed ends: put back where nothing was decided, left open and said where it was."""

from __future__ import annotations

from atftctl.apply.operation import Operation
from atftctl.apply.space import FULL
from atftctl.domain.errors import AtftError, DiskFull, Interrupted, NeedsPerson, PutBack
from atftctl.host.errors import HostError


def ended_badly(operation: Operation, error: BaseException) -> BaseException:
    """Put back what had not been decided; say what stands where it had been."""
    if operation.decided and not operation.going_back:
        if isinstance(error, NeedsPerson):
            return error
        return NeedsPerson(
            f"{operation.plan.command} {operation.id} was decided, and then: {words_of(error)}",
            stands="the operation stays open; its files may be partly in place",
            then="remove the cause (a full disk?), then: atftctl recover",
        )
    if isinstance(error, NeedsPerson):
        return error  # a process that will not die: the trainer is not started beside it
    try:
        operation.unwind(error)
    except NeedsPerson as second:
        return second
    except (OSError, HostError) as second:
        partly = "some files are the new ones, the others are as they were"
        files = partly if operation.going_back else "no file of the project has changed"
        return NeedsPerson(
            f"{words_of(error)}; putting back failed too: {words_of(second)}",
            stands=f"{files}; the operation stays open",
            then="remove the cause, then: atftctl recover",
        )
    return _put_back(error)


def _put_back(error: BaseException) -> BaseException:
    """The same end in the words of the domain."""
    stands = "everything is as it was"
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted before the decision", stands=stands)
    if isinstance(error, OSError) and error.errno in FULL:
        return DiskFull(words_of(error), stands=stands, then="make room, then run it again")
    if isinstance(error, OSError | HostError):
        return PutBack(words_of(error), stands=stands, then="remove the cause, then run it again")
    if isinstance(error, AtftError) and not error.stands:
        error.stands = stands
    return error


def words_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return str(error) or type(error).__name__
