"""What this process has changed so far, in words: whoever says that nothing has changed must know it."""

from __future__ import annotations

_left: list[str] = []


def leave(words: str) -> None:
    """Told by each function that has changed something outside of a transaction that is still undecided."""
    _left.append(words)


def so_far() -> tuple[str, ...]:
    """Everything that was left, oldest first."""
    return tuple(_left)


def clear() -> None:
    """For a process that carries out several commands one after the other."""
    _left.clear()


def state(otherwise: str = "nothing has changed") -> str:
    """What is true now, as far as this process has changed it."""
    return f"done before that: {'; '.join(_left)}" if _left else otherwise
