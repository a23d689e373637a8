"""Paths that must stay inside the project, or inside a folder that the runbook allows in `files.allow_outside`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atftctl.host.errors import OutsideProjectError
from atftctl.protocol.messages import tr

MAX_LINKS = 40  # symlinks on the way, as in the kernel, which then says ELOOP


@dataclass(frozen=True)
class Located:
    """The real path of a file of the project (`real`), and the symlinks on the way: (path, target), relative to the
    project. `path`: the path relative to the project that the last symlink leads to."""

    real: Path
    path: str
    links: tuple[tuple[str, str], ...] = ()


def resolve_inside(root: Path, relative: str, outside: Iterable[str] = ()) -> Path:
    """The real path of `relative`, in which no folder is a symlink. Raises OutsideProjectError where it leads out of
    `root` and of the folders `outside` (it is absolute, has `..`, or has a symlink on the way), and where it is a
    symlink itself."""
    check_relative(relative)
    path = root / relative
    real = resolve_folder_inside(root, relative, path.parent, outside) / path.name
    if _is_link(path):
        _refuse_link(root, relative, path, outside)
    return real


def resolve_folder_inside(root: Path, relative: str, folder: Path, outside: Iterable[str] = ()) -> Path:
    """The real path of the folder of `relative`. Raises OutsideProjectError."""
    try:
        real = folder.resolve()
    except (RuntimeError, OSError):  # Python before 3.13 raises RuntimeError for a loop
        raise _loop(relative) from None
    _refuse_outside(root, relative, real, outside)
    return real


def is_path(value: object) -> bool:
    """Can a file have this name?"""
    try:
        return isinstance(value, str) and bool(value) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def check_relative(relative: str) -> None:
    """Raises OutsideProjectError for a path that leads out of the project by its own text."""
    if not is_path(relative):
        raise OutsideProjectError(tr("{path!r} is not a valid file name", path=relative))
    if not relative or relative.startswith(("/", "~")) or ".." in Path(relative).parts:
        raise OutsideProjectError(tr("{path!r} does not stay inside the project", path=relative))


def locate(root: Path, relative: str, outside: Iterable[str] = (), *, plain: dict[str, Path] | None = None) -> Located:
    """As `resolve_inside`, but follow symlinks that stay inside the project or in the folders `outside`.

    `plain`: a cache, by folder, of real paths that were reached without a symlink; for many files in a row.
    Raises OutsideProjectError.
    """
    folder, _, name = relative.rpartition("/")
    if plain and (seen := plain.get(folder)) and name not in ("", ".", "..") and not os.path.islink(f"{seen}/{name}"):
        return Located(seen / name, relative)
    check_relative(relative)
    root, links = root.resolve(), list[tuple[str, str]]()
    path = Path(os.path.normpath(relative))
    for _ in range(MAX_LINKS):
        parts = (*reversed(path.parents), path)
        link = next((part for part in parts if part.parts and (root / part).is_symlink()), None)
        if link is None:
            if links and os.path.realpath(root / relative) != str(root / path):
                break  # `..` after a symlink: the path that its text gives is not the real one
            if plain is not None and not links and str(path) == relative:
                plain[folder] = (root / path).parent
            return Located(root / path, str(path), tuple(links))
        target = os.readlink(root / link)
        real = Path(os.path.normpath((root / link).parent / target))
        below = path.relative_to(link)
        if not real.is_relative_to(root):
            return Located(resolve_folder_inside(root, relative, root / path, outside), str(path), tuple(links))
        links.append((str(link), target))
        path = real.relative_to(root) / below
    raise _loop(relative)


class Within:
    """`resolve_inside` for many files: each folder is resolved once. The file itself may be a symlink: open it with
    O_NOFOLLOW."""

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


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # in a folder that this user may not enter: opening the file will say so
        return False


def _refuse_outside(root: Path, relative: str, real: Path, outside: Iterable[str]) -> None:
    allowed = [root.resolve(), *(Path(os.path.realpath(folder)) for folder in outside)]
    if not any(real.is_relative_to(folder) for folder in allowed):
        raise OutsideProjectError(
            tr("{path!r} is a symlink that leads out of the project, to {target}", path=relative, target=real)
        )


def _refuse_link(root: Path, relative: str, path: Path, outside: Iterable[str]) -> None:
    try:
        real = path.resolve()
    except (RuntimeError, OSError):
        raise _loop(relative) from None
    _refuse_outside(root, relative, real, outside)
    raise OutsideProjectError(
        tr("{path!r} is a symlink; replacing it would leave the file that it points to unchanged", path=relative)
    )


def _loop(relative: str) -> OutsideProjectError:
    return OutsideProjectError(tr("{path!r} is a symlink that leads to itself", path=relative))
