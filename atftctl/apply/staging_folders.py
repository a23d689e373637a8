"""The folders in which trainers stage their files, one for each generation (protocol/generations.py).

Fencing renames the folders of earlier generations: a trainer that was taken for lost, and goes on later, then can't
rename a file from there over a newer one. Only folders with the mark are renamed, and only unfinished files removed.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl import protocol
from atftctl.host.errors import HostError, SymlinkError, reason
from atftctl.host.files.durable import write_new
from atftctl.host.files.folders import make_dirs, opened
from atftctl.protocol import generations
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

NO_FOLDER = (FileNotFoundError, NotADirectoryError, SymlinkError)
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def renew(layout: Layout, number: int) -> None:
    """Before a trainer of this generation is started: remove the folders that were renamed before, rename those of all
    other generations, and make the new one. The counter must hold the number by then: a trainer makes its folder first,
    and then compares its number.

    Raises HostError where a folder can't be renamed (an earlier trainer could still replace checkpoints); OSError.
    """
    _remove_fenced(layout)
    fence(layout, but=number)
    with suppress(OSError, HostError):  # the trainer makes it where it is missing, once the disk has room again
        folder = layout.staging / str(number)
        make_dirs(folder)
        write_new(folder / generations.MARK, generations.MARK_TEXT, 0o644)


def fence(layout: Layout, *, only: int | None = None, but: int | None = None) -> None:
    """Rename the folders of all generations; or `only` of this one, or of all `but` this one. Raises HostError,
    OSError."""
    for place in _places(layout):
        with suppress(*NO_FOLDER), opened(place.folder, readable=True) as handle:
            names = os.listdir(handle)
            numbers = {name: number for name in names if (number := place.number(name)) is not None}
            fenced = [name for name, number in numbers.items() if number != but and only in (None, number)]
            for name in fenced:
                if _is_ours(handle, name):
                    _rename(place.folder, handle, name, names)
            if fenced:
                os.fsync(handle)


@dataclass(frozen=True)
class _Place:
    """A folder that holds folders of generations; their names begin with `prefix`."""

    folder: Path
    prefix: str

    def number(self, name: str) -> int | None:
        """The generation whose folder has this name; None for any other name, also of a renamed one."""
        match = re.fullmatch(rf"{re.escape(self.prefix)}(0|[1-9]\d{{0,8}})", name)
        return int(match[1]) if match else None

    def is_fenced(self, name: str) -> bool:
        """Is this the name of a renamed folder?"""
        begin, mark, _ = name.partition(generations.FENCED)
        return bool(mark) and self.number(begin) is not None


def _places(layout: Layout) -> Iterator[_Place]:
    """Where folders of generations are: in the run folder, and beside checkpoints that lie on other file systems. A
    place outside that the runbook does not allow is left out."""
    yield _Place(layout.staging, "")
    folders = set()
    for name in (protocol.LAST, protocol.BEST):
        with suppress(HostError, OSError):
            folders.add(layout.place(name).parent)
    for folder in folders:
        yield _Place(folder, generations.BESIDE)


def _is_ours(handle: int, name: str) -> bool:
    """Has the folder of this name (in the folder with this descriptor) the mark? One that a crash has cut short counts
    where nothing else is in the folder. A folder without it is never renamed: no trainer stages there before it has
    written the mark and has compared its number after that."""
    try:
        folder = os.open(name, OPEN_FOLDER, dir_fd=handle)
    except OSError:
        return False
    try:
        mark = os.open(generations.MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(mark, "rb") as file:
            text = file.read(generations.LONGEST)
        alone = os.listdir(folder) == [generations.MARK]
        return generations.is_mark(text) or (alone and generations.is_begun_mark(text))
    except OSError:
        return False
    finally:
        os.close(folder)


def _rename(place: Path, handle: int, name: str, names: list[str]) -> None:
    """Rename one folder in `place`; `names`: those that are taken."""
    fenced = f"{name}{generations.FENCED}"
    further = (f"{fenced}.{number}" for number in itertools.count(2))
    free = next(new for new in itertools.chain([fenced], further) if new not in names)
    try:
        os.rename(name, free, src_dir_fd=handle, dst_dir_fd=handle)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(
            tr(
                "the folder of an earlier start of the trainer, {path}, can't be renamed: {reason}",
                path=place / name,
                reason=reason(error),
            )
        ) from None
    names.append(free)


def _remove_fenced(layout: Layout) -> None:
    """Remove renamed folders, with the unfinished files in them. What else is in them is kept, and so is its folder."""
    for place in _places(layout):
        with suppress(OSError, SymlinkError), opened(place.folder, readable=True) as handle:
            for name in filter(place.is_fenced, os.listdir(handle)):
                if _is_ours(handle, name):
                    _remove(handle, name)


def _remove(handle: int, name: str) -> None:
    with suppress(OSError):
        folder = os.open(name, OPEN_FOLDER, dir_fd=handle)
        try:
            for file in filter(generations.TEMPORARY.fullmatch, os.listdir(folder)):
                os.unlink(file, dir_fd=folder)
            left = os.listdir(folder)
            if left == [generations.MARK]:
                os.unlink(generations.MARK, dir_fd=folder)
            os.rmdir(name, dir_fd=handle)
        finally:
            os.close(folder)
