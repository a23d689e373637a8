"""The files that hold one log: the one that is written, and those that a rotation has left beside it."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from atftctl.domain.record import record
from atftctl.host.errors import HostError, OutsideProjectError, reason
from atftctl.host.files.containment import check_relative
from atftctl.host.files.logs import real_path
from atftctl.host.files.reading import NOT_THERE, open_regular

PACKED = (".gz", ".bz2", ".xz")
# What a rotation adds to a name: .1, -20261130, .2026-11-30_10, with .gz and the like behind it.
_ADDED = r"[.-]\d[\d._T:-]*"


@record
class Part:
    """One file of a log. `size` in bytes, as it is on the disk; `written`: when it was last written, in Unix seconds;
    `packed`: how it is compressed, "" for not at all."""

    path: Path
    size: int
    written: float
    inode: int
    packed: str = ""

    @property
    def name(self) -> str:
        return self.path.name


@record
class LogFiles:
    """The files of one log, the oldest first. `name`: as the runbook has it. `problem`: why the log can't be read, or
    that there is none."""

    name: str
    parts: tuple[Part, ...] = ()
    problem: str = ""
    missing: bool = False  # there is no such file, and no rotated one


def log_files(root: Path, name: str) -> LogFiles:
    """Find the files of a log of the project. Raises nothing: what can't be read is said in `problem`."""
    try:
        check_relative(name)
        path = real_path(root, name)
        rotated = _rotated(path)
        current = _current(path)
    except OutsideProjectError as error:
        return LogFiles(name, problem=error.message)
    except (OSError, HostError) as error:
        return LogFiles(name, problem=reason(error))
    parts = [*rotated, *([current] if current else [])]
    return LogFiles(name, tuple(parts), missing=not parts)


def _current(path: Path) -> Part | None:
    """The file that is written; None where there is none. Raises OSError, NotRegularError, SymlinkError."""
    try:
        with open_regular(path) as file:
            facts = os.fstat(file.fileno())
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise
    return Part(path, facts.st_size, facts.st_mtime, facts.st_ino)


def rotated_names(name: str, endings: Sequence[str]) -> re.Pattern[str]:
    """What a rotation calls the files of a log of this name. endings: of packed ones, of which the groups `packed` and
    `packed2` find the one that is there."""
    stem, dot, ending = name.rpartition(".")
    packed = "|".join(re.escape(suffix) for suffix in endings)
    forms = [rf"{re.escape(name)}(?:{_ADDED})?(?P<packed>{packed})", rf"{re.escape(name)}{_ADDED}"]
    if dot and stem:
        forms.append(rf"{re.escape(stem)}{_ADDED}\.{re.escape(ending)}(?P<packed2>{packed})?")
    return re.compile("|".join(forms))


def _rotated(path: Path) -> list[Part]:
    """The rotated files beside a log, the oldest first: by the time of their last write."""
    name = rotated_names(path.name, PACKED)
    parts = []
    try:
        entries = list(os.scandir(path.parent))
    except OSError:
        return []
    for entry in entries:
        match = name.fullmatch(entry.name)
        facts = _facts(entry) if match and entry.name != path.name else None
        if match and facts:
            suffix = match["packed"] or (match.groupdict().get("packed2") or "")
            parts.append(Part(path.parent / entry.name, facts.st_size, facts.st_mtime, facts.st_ino, suffix))
    return sorted(parts, key=lambda part: (part.written, -_generation(part.name), part.name))


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Facts of a regular file; None for everything else."""
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _generation(name: str) -> int:
    """The number of a rotated file: .2 is older than .1."""
    numbers = re.findall(r"\.(\d{1,4})(?:\.|$)", name)
    return int(numbers[-1]) if numbers else 0


def open_part(part: Part) -> BufferedIOBase:
    """Open a file of a log, unpacked while it is read. Raises OSError, NotRegularError, SymlinkError."""
    file = open_regular(part.path)
    opener = _opener(part.packed)
    try:
        return opener(file) if opener else file
    except BaseException:
        file.close()
        raise


def _opener(packed: str) -> Callable[[BufferedIOBase], BufferedIOBase] | None:
    if packed == ".gz":
        return _gunzip
    if packed == ".bz2":
        import bz2

        return bz2.BZ2File
    if packed == ".xz":
        import lzma

        return lzma.LZMAFile  # type: ignore[return-value]
    return None


def _gunzip(file: BufferedIOBase) -> BufferedIOBase:
    import gzip

    made = gzip.GzipFile(fileobj=file)
    made.myfileobj = file  # type: ignore[assignment] # so that closing it closes the file
    return cast(BufferedIOBase, made)


def damaged() -> tuple[type[BaseException], ...]:
    """What reading a file of a log may raise, also a packed one that is damaged: for an `except` clause."""
    import zlib

    lzma = sys.modules.get("lzma")
    return (OSError, HostError, EOFError, ValueError, zlib.error, *((lzma.LZMAError,) if lzma else ()))
