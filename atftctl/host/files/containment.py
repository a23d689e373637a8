"""Paths that must stay inside the project, or inside a place that the runbook names in `files.allow_outside`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.errors import OutsideProjectError

MAX_LINKS = 40  # as the kernel counts before it says ELOOP


@dataclass(frozen=True)
class Located:
    """Where a path of the project really lies, and the symlinks that lead there, each with what it says: path from the
    project's folder → target. `path` is the name from the project's folder that the last of them leads to."""

    real: Path
    path: str
    links: tuple[tuple[str, str], ...] = ()


def resolve_inside(root: Path, relative: str, outside: Iterable[str] = ()) -> Path:
    """Where `relative` really lies: no folder on the way is a symlink. Refused where it would lead out of `root` and of
    the places `outside`: absolute, `..`, or a symlink that points elsewhere; and where it is a symlink itself. Raises
    OutsideProjectError."""
    check_relative(relative)
    path = root / relative
    real = resolve_folder_inside(root, relative, path.parent, outside) / path.name
    if _is_link(path):
        _refuse_link(root, relative, path, outside)
    return real


def resolve_folder_inside(root: Path, relative: str, folder: Path, outside: Iterable[str] = ()) -> Path:
    """Where the folder of `relative` really lies. Raises OutsideProjectError."""
    try:
        real = folder.resolve()
    except (RuntimeError, OSError):  # Python before 3.13 raises RuntimeError for a loop
        raise OutsideProjectError(f"{relative!r} is a symlink that leads to itself") from None
    _refuse_outside(root, relative, real, outside)
    return real


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # in a folder that is closed to us: whoever opens the file is told so
        return False


def is_path(value: object) -> bool:
    """Can a file have this name?"""
    try:
        return isinstance(value, str) and bool(value) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def check_relative(relative: str) -> None:
    """Raises OutsideProjectError for words that lead out by themselves."""
    if not is_path(relative):
        raise OutsideProjectError(f"{relative!r} is no name of a file")
    if not relative or relative.startswith(("/", "~")) or ".." in Path(relative).parts:
        raise OutsideProjectError(f"{relative!r} does not stay inside the project")


def _refuse_outside(root: Path, relative: str, real: Path, outside: Iterable[str]) -> None:
    places = [root.resolve(), *(Path(os.path.realpath(place)) for place in outside)]
    if not any(real.is_relative_to(place) for place in places):
        raise OutsideProjectError(f"{relative!r} is a symlink that leads out of the project, to {real}")


def _refuse_link(root: Path, relative: str, path: Path, outside: Iterable[str]) -> None:
    try:
        real = path.resolve()
    except (RuntimeError, OSError):
        raise OutsideProjectError(f"{relative!r} is a symlink that leads to itself") from None
    _refuse_outside(root, relative, real, outside)
    raise OutsideProjectError(f"{relative!r} is a symlink; replacing it would leave the file behind it unchanged")


def locate(root: Path, relative: str, outside: Iterable[str] = (), *, plain: dict[str, Path] | None = None) -> Located:
    """As `resolve_inside`, and follows symlinks that stay inside the project.

    A symlink may also lead to an allowed place outside; the file keeps the name by which the project knows it.
    `plain`: folders that were reached without a symlink, remembered for the next of many files.
    Raises OutsideProjectError.
    """
    folder, _, name = relative.rpartition("/")
    if plain and (seen := plain.get(folder)) and name not in ("", ".", "..") and not os.path.islink(f"{seen}/{name}"):
        return Located(seen / name, relative)
    check_relative(relative)
    root, links = root.resolve(), list[tuple[str, str]]()
    path = Path(os.path.normpath(relative))
    for _ in range(MAX_LINKS):
        link = next((one for one in (*reversed(path.parents), path) if one.parts and (root / one).is_symlink()), None)
        if link is None:
            if links and os.path.realpath(root / relative) != str(root / path):
                break  # `..` behind a symlink: its target is not what its words say
            if plain is not None and not links and str(path) == relative:
                plain[folder] = (root / path).parent
            return Located(root / path, str(path), tuple(links))
        target = os.readlink(root / link)
        real = Path(os.path.normpath((root / link).parent / target))
        below = path.relative_to(link)
        if not real.is_relative_to(root):
            found = resolve_folder_inside(root, relative, root / path, outside)
            return Located(found, str(path), tuple(links))
        links.append((str(link), target))
        path = real.relative_to(root) / below
    raise OutsideProjectError(f"{relative!r} is a symlink that leads to itself")


class Within:
    """`resolve_inside` for many files: each folder is looked at once. Whoever opens the file itself says O_NOFOLLOW."""

    def __init__(self, root: Path, outside: Iterable[str] = ()) -> None:
        self._root = root
        self._outside = tuple(outside)
        self._folders: dict[str, Path] = {}

    def __call__(self, relative: str) -> Path:
        folder, _, name = relative.rpartition("/")
        if name in ("", ".", ".."):
            return resolve_inside(self._root, relative, self._outside)
        if folder not in self._folders:
            check_relative(relative)
            self._folders[folder] = resolve_folder_inside(self._root, relative, self._root / folder, self._outside)
        return self._folders[folder] / name
