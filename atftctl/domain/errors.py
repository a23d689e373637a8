"""Refusals and failures as people read them: what happened, what stands now, what to do next."""

from __future__ import annotations

from atftctl.protocol import Exit


class AtftError(Exception):
    """An expected end. `what` is one line; `stands` and `then` are one line each or empty. Where `stands` is empty, the
    error boundary says what this process has changed so far: nothing, or what."""

    exit_code = Exit.REFUSED

    def __init__(self, what: str, *, stands: str = "", then: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.lines = lines  # more of what happened, where a line can't hold it
        self.stands = stands
        self.then = then


class WrongUsage(AtftError):  # noqa: N818 - these are named as the exit codes are
    """The words of the command were off; nothing was looked at."""

    exit_code = Exit.USAGE


class Refused(AtftError):  # noqa: N818
    """Not done."""

    exit_code = Exit.REFUSED


class PutBack(AtftError):  # noqa: N818
    """Tried, failed, and what stood before stands again."""

    exit_code = Exit.RESTORED


class DiskFull(PutBack):
    """Put back, since there was no room; the reserve may help."""


class NeedsPerson(AtftError):  # noqa: N818
    """Stopped in a state that no rule covers; `stands` says what stands where."""

    exit_code = Exit.STOPPED


class Inconclusive(AtftError):  # noqa: N818
    """Too little was seen to say yes or no."""

    exit_code = Exit.INCONCLUSIVE


class Interrupted(AtftError):  # noqa: N818
    """Ctrl-C; `stands` says on which side of the decision point it fell."""

    exit_code = Exit.INTERRUPTED
