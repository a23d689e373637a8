"""Expected errors: what happened, what is true now, and what to do next."""

from __future__ import annotations

from atftctl.protocol import Exit


class AtftError(Exception):
    """An expected error.

    `message`: what happened, in one line. `state`: what is true now. `hint`: what to do next, with a command to paste.
    `state` and `hint` may be empty; for an empty `state` the error boundary says what this process has changed so far.
    `lines`: more of what happened, where one line can't hold it.
    """

    exit_code = Exit.REFUSED

    def __init__(self, message: str, *, state: str = "", hint: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.lines = lines
        self.state = state
        self.hint = hint


class UsageError(AtftError):
    """The command line is wrong. Nothing was read or changed."""

    exit_code = Exit.USAGE


class Refused(AtftError):  # noqa: N818
    """The operation was refused. Nothing was changed."""

    exit_code = Exit.REFUSED


class NothingLeft(Refused):
    """Refused because none is left of what could be tried."""


class Busy(Refused):
    """Refused because another process holds the project's lock."""


class Restored(AtftError):  # noqa: N818
    """The operation failed, and the state of before was restored."""

    exit_code = Exit.RESTORED


class DiskFull(Restored):
    """Restored because the disk is full. Releasing the reserve may help."""


class InterventionNeeded(AtftError):  # noqa: N818
    """The operation stopped in a state that only a person can judge; `state` describes it."""

    exit_code = Exit.STOPPED


class NotProvenEnded(InterventionNeeded):
    """A trainer was to be stopped, and nobody can show that it has ended."""


class Inconclusive(AtftError):  # noqa: N818
    """There is too little data for a verdict."""

    exit_code = Exit.INCONCLUSIVE


class Interrupted(AtftError):  # noqa: N818
    """The operator pressed Ctrl-C; `state` says whether the change had been decided by then."""

    exit_code = Exit.INTERRUPTED
