"""Errors of the host layer: each says what happened; callers add what is true now and what to do next."""

from __future__ import annotations

from collections.abc import Iterable

from atftctl.protocol.messages import Message, joined, tr


class HostError(Exception):
    """The machine refused something. `message`: what happened, for people."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class OutsideProjectError(HostError):
    """A path leads out of the project: by `..`, because it is absolute, or through a symlink."""


class ChangedError(HostError):
    """A file changed while it was copied."""


class AbandonedError(HostError):
    """A copy was given up because another copy failed."""


class NotRegularError(HostError):
    """The path is a folder, a pipe or a device: not a file that can be copied."""


class DamagedError(HostError):
    """A file does not hold the bytes that were written to it."""


class YamlError(HostError):
    """A YAML text can't be read, or can't be edited exactly. `reason`: what is wrong, without its line. `line` counts
    from 1; 0 where no line is known."""

    def __init__(self, reason: str, *, line: int = 0) -> None:
        super().__init__(tr("line {line}: {reason}", line=line, reason=reason) if line else reason)
        self.reason = reason
        self.line = line


class LockHeldError(HostError):
    """Another process holds the lock. `holder`: what that process wrote about itself."""

    def __init__(self, holder: dict[str, str]) -> None:
        super().__init__(tr("the lock is held by another process"))
        self.holder = holder


class StillAliveError(HostError):
    """Processes are still alive after SIGKILL (in uninterruptible sleep, or not ours to signal)."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.pids = list(pids)
        super().__init__(tr("still alive after SIGKILL: pid {pids}", pids=joined(", ", map(str, self.pids))))


class SymlinkError(HostError):
    """A symlink is in the place of a folder or a file."""


class UntrustedError(HostError):
    """A file could have been written by somebody whom the operator does not trust. `hint`: what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def reason(error: BaseException) -> str:
    """What went wrong, never empty: the error's translatable message where it has one; for an OSError the system's text
    without its number."""
    first = error.args[0] if error.args else None
    if isinstance(first, Message):
        return first
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def reason_and_place(error: BaseException) -> str:
    """The reason, and the file that it is about where the system named one."""
    path = getattr(error, "filename", None)
    return tr("{reason}: {path}", reason=reason(error), path=path) if path else reason(error)


def first_line(error: BaseException) -> str:
    """The first line of the reason, for errors of libraries whose texts have several."""
    text = reason(error)
    return text if isinstance(text, Message) else text.splitlines()[0]
