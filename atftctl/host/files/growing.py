"""Read what is added to a file that another program writes: over rotations, truncations and replaced files, and from a
place on that was recorded earlier."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from atftctl.host.errors import HostError, OutsideProjectError, reason
from atftctl.host.files.containment import check_relative
from atftctl.host.files.logs import real_path
from atftctl.host.files.reading import NOT_THERE, open_regular
from atftctl.protocol.messages import tr

PIECE = 1 << 20  # bytes that are read at once
LONGEST = 64 << 10  # bytes of a line that are kept
SEEN = 64  # bytes before a place that are compared, to notice a file that was written anew
GONE_S = 2.0  # between the two steps of a rotation there is no file; after so long it is missing
RESOLVE_EVERY = 10  # looks; in between, a symlink in the path is taken to lead to the same folder


class Place(NamedTuple):
    """Where a reader is in a file. `seen`: the last bytes before the offset, as hex digits; "" where they are not
    known. `skipping`: in the middle of a line that is too long."""

    inode: int = 0
    offset: int = 0
    seen: str = ""
    skipping: bool = False


BEGIN = Place()
_ROTATED = re.compile(r"[.-]\d[\d._T:-]*")  # what a rotation adds to a name


class Piece(NamedTuple):
    """Whole lines. `again`: the first ones of a file that took the place of another, or was written anew: lines that
    were read before may come again."""

    data: bytes
    again: bool = False


class _Reader:
    """One open file, and the place in it."""

    def __init__(self, file: BufferedReader, place: Place, breaks: bytes, *, again: bool = False) -> None:
        self.file, self._breaks, self._again = file, breaks, again
        self.offset, self.seen, self.skipping = place.offset, bytes.fromhex(place.seen), place.skipping
        facts = os.fstat(file.fileno())
        self.identity, self.written = (facts.st_dev, facts.st_ino), facts.st_mtime
        self._known = (-1, -1)  # size and time of the last write when it was read to its end

    @property
    def place(self) -> Place:
        return Place(self.identity[1], self.offset, self.seen.hex(), self.skipping)

    def pieces(self) -> Iterator[Piece]:
        """The lines that were added."""
        facts = os.fstat(self.file.fileno())
        self.written, now = facts.st_mtime, (facts.st_size, facts.st_mtime_ns)
        if now == self._known:
            return
        if facts.st_size < self.offset or not self.holds(self.seen, self.offset):
            self.offset, self.seen, self.skipping, self._again = 0, b"", False, True
        begin = self.offset
        while data := os.pread(self.file.fileno(), PIECE, self.offset):
            before, lines = self.offset, self._lines(data)
            if lines:
                yield Piece(lines, self._again)
                self._again = False
            if self.offset == before:
                break
        if self.offset != begin or not self.seen:
            start = max(self.offset - SEEN, 0)
            self.seen = os.pread(self.file.fileno(), self.offset - start, start)
        self._known = now

    def rest(self) -> bytes:
        """What is behind the last whole line."""
        return b"" if self.skipping else os.pread(self.file.fileno(), LONGEST, self.offset)

    def holds(self, seen: bytes, offset: int) -> bool:
        """Has the file these bytes before the offset?"""
        return os.pread(self.file.fileno(), len(seen), max(offset - len(seen), 0)) == seen

    def _lines(self, data: bytes) -> bytes:
        """The whole lines of what was read; moves the place behind them."""
        if self.skipping:
            ends = [at for sign in self._breaks if (at := data.find(sign)) >= 0]
            self.offset += min(ends) + 1 if ends else len(data)
            if not ends:
                return b""
            self.skipping, data = False, data[min(ends) + 1 :]
        end = max(data.rfind(sign, 0, len(data) if sign == 10 else -1) for sign in self._breaks) + 1
        if not end and len(data) > LONGEST:
            self.offset, self.skipping = self.offset + len(data), True
            return data[:LONGEST] + b"\n"
        self.offset += end
        return data[:end]


class GrowingFile:
    """Reads what is added to a file of the run folder.

    `problem`: why it can't be read now; "" where it can. `written`: when it was last written, in Unix seconds; None
    without a file. `breaks`: the bytes that end a line.
    """

    def __init__(
        self, root: Path, name: str, place: Place = BEGIN, old: Place = BEGIN, *, breaks: bytes = b"\n"
    ) -> None:
        """place: where to go on. old: in the file that had the name before, whose writer may go on to write to it."""
        self.name, self.problem = name, ""
        self._root, self._breaks = root, breaks
        self._place, self._old_place = place, old
        self._reader: _Reader | None = None
        self._old: _Reader | None = None
        self._path, self._looks, self._gone = root / name, 0, -1.0
        self._newer: list[Path] = []  # files of later rotations, which were not read yet

    @property
    def places(self) -> tuple[Place, Place]:
        """Where to go on later: in the file, and in the one that had the name before."""
        return (
            self._reader.place if self._reader else self._place,
            self._old.place if self._old else self._old_place if self._reader is None else BEGIN,
        )

    @property
    def written(self) -> float | None:
        return self._reader.written if self._reader and not self.problem else None

    @property
    def exists(self) -> bool:
        """Was there a file to read at the last look?"""
        return self._reader is not None

    def head(self, limit: int) -> bytes:
        """The first line of the file, at most `limit` bytes of it; empty where there is none."""
        data = os.pread(self._reader.file.fileno(), limit, 0) if self._reader or self._open() else b""  # type: ignore[union-attr]
        return data[: data.find(b"\n") + 1]

    def rest(self) -> bytes:
        """What is behind the last whole line: its writer may have died in it."""
        return self._reader.rest() if self._reader else b""

    def pieces(self) -> Iterator[Piece]:
        """The lines that were added since the last call. Raises nothing: see `problem`."""
        if self._reader is None and not self._open():
            return
        try:
            assert self._reader is not None
            yield from self._reader.pieces()
            while self._look_for_another():
                yield from self._reader.pieces()
            if self._old is not None:
                yield from self._old.pieces()
        except OSError as error:
            self.problem = reason(error)

    def close(self) -> None:
        """Close the files; reading goes on at the same places."""
        self._place, self._old_place = self.places
        for reader in (self._reader, self._old):
            if reader is not None:
                reader.file.close()
        self._reader = self._old = None

    def _open(self) -> bool:
        """Open the file at the recorded place: under another name where it was rotated since."""
        file = self._opened()
        place = self._place
        if place.inode and (file is None or os.fstat(file.fileno()).st_ino != place.inode):
            if (rotated := self._rotated(place)) is not None:
                self._reader = rotated
                self._newer = _written_after(self._path, place.inode)
            elif file is not None:
                self._reader = self._taken_up(file, place)
            if self._reader is not None and file is not None and self._reader.file is not file:
                file.close()
        elif file is not None:
            self._reader = _Reader(file, place, self._breaks)
        if self._reader is not None and self._old_place.inode:
            self._old = self._rotated(self._old_place)
        return self._reader is not None

    def _opened(self) -> BufferedReader | None:
        """The file that has the name now; None where it can't be read, which `problem` then says."""
        try:
            check_relative(self.name)
            self._path = real_path(self._root, self.name)
            file = open_regular(self._path)
        except OutsideProjectError as error:
            self.problem = error.message
            return None
        except (OSError, HostError) as error:
            missing = isinstance(error, OSError) and error.errno in NOT_THERE
            self.problem = tr("there is no such file") if missing else reason(error)
            return None
        self.problem, self._gone = "", -1.0
        return file

    def _rotated(self, place: Place) -> _Reader | None:
        """The file of this place under the name that a rotation gave it; None where there is none any more."""
        try:
            path = next(path for path in _rotated(self._path) if path.stat().st_ino == place.inode)
            reader = _Reader(open_regular(path), place, self._breaks)
        except (OSError, HostError, StopIteration):
            return None
        if not reader.holds(reader.seen, reader.offset):
            reader.file.close()  # another file has the inode by now
            return None
        return reader

    def _taken_up(self, file: BufferedReader, place: Place) -> _Reader:
        """A file that took the place of another. Where it is a copy of that one, reading goes on at the same offset."""
        reader = _Reader(file, place, self._breaks)
        if place.seen and os.fstat(file.fileno()).st_size >= place.offset and reader.holds(reader.seen, place.offset):
            return reader
        return _Reader(file, BEGIN, self._breaks, again=True)

    def _look_for_another(self) -> bool:
        """Go on with the file that has the name now, where that is another one. Called when the old one has been read
        to its end."""
        assert self._reader is not None
        if self._newer:
            return self._go_on_with(self._newer.pop(0))
        self._looks += 1
        if self._looks % RESOLVE_EVERY == 0:
            self._path = real_path(self._root, self.name)
        try:
            facts = self._path.stat()
        except OSError as error:
            self._gone = time.monotonic() if self._gone < 0 else self._gone
            if time.monotonic() - self._gone > GONE_S:
                self.problem = tr("there is no such file") if error.errno in NOT_THERE else reason(error)
            return False
        if (facts.st_dev, facts.st_ino) == self._reader.identity:
            self.problem, self._gone = "", -1.0
            return False
        if newer := _written_after(self._path, self._reader.identity[1]):
            self._newer = newer[1:]
            return self._go_on_with(newer[0])
        if (file := self._opened()) is None:
            return False
        return self._switch(self._taken_up(file, self._reader.place))

    def _go_on_with(self, path: Path) -> bool:
        """Go on with a file of a later rotation: more than one came while nobody looked."""
        assert self._reader is not None
        try:
            following = _Reader(open_regular(path), BEGIN, self._breaks, again=True)
        except (OSError, HostError):
            return bool(self._newer)
        return self._switch(following)

    def _switch(self, following: _Reader) -> bool:
        """Read this file from now on. The one before is still looked at: its writer may go on to write to it."""
        assert self._reader is not None
        if self._old is not None:
            self._old.file.close()
        before, self._reader = self._reader, following
        self._old = before if following.offset == 0 else None  # else it is a copy
        if self._old is None:
            before.file.close()
        return True


def _rotated(path: Path) -> list[Path]:
    """The files beside a log that a rotation has left, the oldest first; packed ones are not among them."""
    others = [other for other in path.parent.iterdir() if _ROTATED.fullmatch(other.name.removeprefix(path.name))]
    return sorted(
        (other for other in others if other.name.startswith(path.name) and other.is_file()),
        key=lambda other: other.stat().st_mtime_ns,
    )


def _written_after(path: Path, inode: int) -> list[Path]:
    """The rotated files that were written after the one with this inode."""
    try:
        files = _rotated(path)
        place = [file.stat().st_ino for file in files].index(inode)
    except (OSError, ValueError):
        return []
    return files[place + 1 :]
