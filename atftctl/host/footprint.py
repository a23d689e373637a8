"""What this process has changed so far: an error may say "nothing was changed" only where this list is empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atftctl.protocol.messages import joined, tr

_changes: list[str] = []


def leave(message: str) -> None:
    """Record a change, such as "took snapshot 20250101_120000". Each function calls this that has changed something
    outside of a transaction that is not decided yet."""
    _changes.append(message)


def instead(before: str, message: str) -> None:
    """Record that a change which was under way has come to its end; does nothing where it was not recorded."""
    _changes[:] = [message if change == before else change for change in _changes]


@contextmanager
def of_file(path: Path, message: str) -> Iterator[None]:
    """Record the change of a file that the block writes or removes, also where the block fails after that: a full disk
    stops it before the file is replaced, a failed fsync of the folder behind it."""
    before = _identity(path)
    try:
        yield
    finally:
        if _identity(path) != before:
            leave(message)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What is another one once the file was replaced or appended to; None where there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_ctime_ns


def so_far() -> tuple[str, ...]:
    """Every change that was recorded, oldest first."""
    return tuple(_changes)


def clear() -> None:
    """Forget the changes, for a process that carries out several commands one after the other."""
    _changes.clear()


def state(otherwise: str = "") -> str:
    """What is true now, as far as this process has changed it. `otherwise`: the text where nothing has changed."""
    if _changes:
        return tr("done before that: {changes}", changes=joined("; ", _changes))
    return otherwise or tr("nothing was changed")
