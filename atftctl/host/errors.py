"""The host's own small errors. Each says what happened; the rooms above say what stands and what to do next."""

from __future__ import annotations

from atftctl.protocol.messages import Message, tr


class HostError(Exception):
    """Anything that the machine refused."""


class OutsideProjectError(HostError):
    """A path that leaves the project, by `..`, by being absolute or by a symlink."""


class ChangedError(HostError):
    """A file that changed while it was copied."""


class AbandonedError(HostError):
    """A copy that was given up because another one failed."""


class NotRegularError(HostError):
    """A folder, a pipe, a device: nothing that could be copied."""


class DamagedError(HostError):
    """Bytes that are not the ones that were written."""


class YamlError(HostError):
    """A YAML text that can't be read or can't be edited exactly; `line` counts from 1, 0 where there is none."""

    def __init__(self, reason: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line


class LockHeldError(HostError):
    """Somebody else holds the lock; `holder` is what they wrote about themselves."""

    def __init__(self, holder: dict[str, str]) -> None:
        super().__init__("the lock is held")
        self.holder = holder


class StillAliveError(HostError):
    """Processes that outlived SIGKILL (uninterruptible sleep, or not ours to signal)."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(f"still alive after SIGKILL: {', '.join(map(str, pids))}")
        self.pids = pids


class SymlinkError(HostError):
    """A symlink where a folder or a file was expected."""


class UntrustedError(HostError):
    """State that somebody could have written whom the operator has not said to trust; `hint` says what to do."""

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def reason(error: BaseException) -> str:
    """What went wrong, without the number that an OSError's own text begins with. Never empty.

    An error's message stays translatable, which `str(error)` is not.
    """
    message = error.args[0] if error.args and isinstance(error.args[0], Message) else None
    return message or getattr(error, "strerror", None) or str(error) or type(error).__name__


def reason_and_place(error: BaseException) -> str:
    """The reason, and the file that it is about where the system named one."""
    place = getattr(error, "filename", None)
    return tr("{reason}: {path}", reason=reason(error), path=place) if place else reason(error)
