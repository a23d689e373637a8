"""Checkpoints that are folders, or that a pattern names: a snapshot keeps and restores each of them as a unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from atftctl.domain.checkpoint import is_pattern
from atftctl.domain.record import record


@record
class Unit:
    """A place that holds exactly these files after a change. name: a folder, or a pattern. files: their paths, and
    those of files and folders that are left as they are."""

    name: str
    files: tuple[str, ...]

    def keeps(self, path: str) -> bool:
        """Does this file stay?"""
        return any(path == place or path.startswith(f"{place}/") for place in self.files)


def about_units(units: Iterable[Unit]) -> dict[str, list[str]]:
    """For the history: the places that hold nothing else afterwards, so that `undo` restores them in the same way."""
    names = [unit.name for unit in units]
    return {"units": names} if names else {}


def held_by(name: str, path: str) -> str:
    """The file or folder that a path or pattern of the runbook means, and that `path` is or lies in; "" for none."""
    parts, form = path.split("/"), name.removeprefix("./").rstrip("/").split("/")
    if parts[: len(form)] == form:
        return "/".join(form)
    length = _matched(parts, form) if is_pattern(name) else None
    return "/".join(parts[:length]) if length else ""


def _matched(parts: Sequence[str], form: Sequence[str]) -> int | None:
    """How many of the first parts of a path the parts of a pattern match; None where they don't. As for a shell, `*`
    stands for no hidden name, and `**` for any number of folders."""
    if not form:
        return 0
    if form[0] == "**":
        rests = ((skipped, _matched(parts[skipped:], form[1:])) for skipped in range(len(parts)))
        return next((skipped + rest for skipped, rest in rests if rest), None)
    if not parts or not fnmatchcase(parts[0], form[0]) or (parts[0].startswith(".") and not form[0].startswith(".")):
        return None
    rest = _matched(parts[1:], form[1:])
    return None if rest is None else rest + 1


def holds(names: Iterable[str], path: str) -> bool:
    """Is `path` one of these files, or does it lie in one of these folders? Patterns are possible."""
    return any(held_by(name, path) for name in names)


def unit_of(names: Iterable[str], path: str) -> str:
    """The folder that one of these names means and that `path` lies in; "" where it is a file of its own."""
    return next((place for name in names if (place := held_by(name, path)) not in ("", path)), "")
