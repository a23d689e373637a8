"""What this process has changed so far: an error may say "nothing was changed" only where this list is empty."""

from __future__ import annotations

from atftctl.protocol.messages import joined, tr

_changes: list[str] = []


def leave(message: str) -> None:
    """Record a change, such as "took snapshot 20250101_120000". Each function calls this that has changed something
    outside of a transaction that is not decided yet."""
    _changes.append(message)


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
