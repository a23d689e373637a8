"""Follow logs while they are written, as `tail -F` does: over rotations, truncations and replaced files."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from io import BufferedReader
from pathlib import Path

from atftctl.domain.log_lines.text import LONGEST, Line, decode, lines
from atftctl.host.errors import HostError, OutsideProjectError, reason
from atftctl.host.files.containment import check_relative
from atftctl.host.files.logs import real_path
from atftctl.host.files.reading import NOT_THERE, open_regular
from atftctl.protocol.messages import tr

POLL_S = 0.2
PIECE = 1 << 20  # bytes that are read at once
SEEN = 64  # bytes before our position that are compared, to notice a file that was written anew
PARTIAL_S = 2.0  # a line without a break is shown when nothing was added to it for so long
LONGEST_BYTES = 4 * LONGEST


class Follower:
    """Follows one log. `notes`: what happened to its file since the last call of `poll`."""

    def __init__(self, root: Path, name: str, *, from_start: bool = False) -> None:
        self.name = name
        self.notes: list[str] = []
        self._root = root
        self._file: BufferedReader | None = None
        self._position = 0
        self._seen = b""  # the last bytes before the position
        self._rest = b""  # a line that is not complete
        self._old: BufferedReader | None = None  # a rotated file; a writer that never looks goes on to write to it
        self._old_position = 0
        self._skipping = False  # the rest of a line that is too long
        self._grown = 0.0
        self._problem = ""
        if self._open() and not from_start:
            self._go_to_last_line()

    def poll(self) -> list[Line]:
        """The lines that were added; at most about `PIECE` bytes of them."""
        if self._file is None and not self._open():
            return []
        added = self._read()
        if not added:
            self._look_for_another()
            added = self._read() or self._read_old()
        return self._complete(added) if added else self._partial()

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, self._old):
            if file is not None:
                file.close()
        self._file = self._old = None

    @property
    def position(self) -> tuple[int, int]:
        """(the inode of the file, the byte offset in it of what `poll` returns next); zeros where there is no file."""
        return (os.fstat(self._file.fileno()).st_ino, self._position) if self._file else (0, 0)

    def _open(self) -> bool:
        """Open the file; a problem is noted once."""
        problem = ""
        try:
            check_relative(self.name)
            self._file = open_regular(real_path(self._root, self.name))
        except OutsideProjectError as error:
            problem = error.message
        except (OSError, HostError) as error:
            missing = isinstance(error, OSError) and error.errno in NOT_THERE
            problem = tr("waiting for it to be created") if missing else reason(error)
        if problem and problem != self._problem:
            self.notes.append(problem)
        elif not problem and self._problem:
            self.notes.append(tr("it can be read now"))
        self._problem = problem
        self._position, self._seen = 0, b""
        return not problem

    def _go_to_last_line(self) -> None:
        """Begin with the last line if it is not complete, else behind it."""
        assert self._file is not None
        size = os.fstat(self._file.fileno()).st_size
        data = os.pread(self._file.fileno(), LONGEST_BYTES, max(size - LONGEST_BYTES, 0))
        open_line = len(data) - data.rfind(b"\n") - 1 if b"\n" in data else 0
        self._position = size - open_line
        self._remember()

    def _read(self) -> bytes:
        """The bytes that were added since the last call."""
        assert self._file is not None
        handle = self._file.fileno()
        if self._was_rewritten(handle):
            self.notes.append(tr("the file was truncated"))
            self._position, self._rest, self._skipping = 0, b"", False
        data = os.pread(handle, PIECE, self._position)
        if data:
            self._position += len(data)
            self._remember()
            self._grown = time.monotonic()
        return data

    def _remember(self) -> None:
        assert self._file is not None
        begin = max(self._position - SEEN, 0)
        self._seen = os.pread(self._file.fileno(), self._position - begin, begin)

    def _was_rewritten(self, handle: int) -> bool:
        """Was the file truncated, also where it has grown past our position since?"""
        if os.fstat(handle).st_size < self._position:
            return True
        return bool(self._seen) and os.pread(handle, len(self._seen), self._position - len(self._seen)) != self._seen

    def _look_for_another(self) -> None:
        """Go on with the file that has the name now, where the name was given to another one. Only called when the old
        file has been read to its end."""
        assert self._file is not None
        path = real_path(self._root, self.name)
        try:
            facts = path.stat()
        except OSError:
            return  # between the two steps of a rotation: the writer may still write to the old file
        current = os.fstat(self._file.fileno())
        if (facts.st_dev, facts.st_ino) == (current.st_dev, current.st_ino):
            return
        old, before, seen = self._file, self._position, self._seen
        self._file = None
        if not self._open():
            self._file, self._position, self._seen = old, before, seen
            return
        if self._old is not None:
            self._old.close()
        self._old, self._old_position = old, before
        self._rest += b"\n" if self._rest else b""  # what comes now is not its rest
        self.notes.append(tr("the file was rotated or replaced"))

    def _read_old(self) -> bytes:
        """What a writer that has not noticed the rotation has added to the old file."""
        if self._old is None or self._rest:
            return b""
        data = os.pread(self._old.fileno(), PIECE, self._old_position)
        data = data[: data.rfind(b"\n") + 1]
        self._old_position += len(data)
        return data

    def _complete(self, added: bytes) -> list[Line]:
        """The lines that are complete now."""
        if self._skipping:
            end = added.find(b"\n")
            if end < 0:
                return []
            added, self._skipping = added[end + 1 :], False
        data = self._rest + added
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        whole, self._rest = data[:end], data[end:]
        if len(self._rest) > PIECE:
            whole, self._rest, self._skipping = whole + self._rest[:LONGEST_BYTES] + b"\n", b"", True
        return list(lines(decode(whole)))

    def _partial(self) -> list[Line]:
        """A line that is not complete, where its writer seems to have stopped in it."""
        if not self._rest or time.monotonic() - self._grown <= PARTIAL_S:
            return []
        end = _whole_characters(self._rest)
        shown, self._rest = self._rest[:end], self._rest[end:]
        return list(lines(decode(shown)))


def _whole_characters(data: bytes) -> int:
    """The number of bytes up to a character at the end whose last bytes are missing."""
    for length in range(1, min(4, len(data)) + 1):
        first = data[-length]
        if first & 0xC0 != 0x80:
            wanted = 2 if first >> 5 == 6 else 3 if first >> 4 == 14 else 4 if first >> 3 == 30 else 1
            return len(data) - length if wanted > length else len(data)
    return len(data)


def follow(followers: Sequence[Follower]) -> Generator[tuple[Follower, list[Line]], None, None]:
    """Yield each follower with its new lines, again and again, also where it has none; with a pause where none has.
    Ends only when it is closed."""
    try:
        while True:
            quiet = True
            for follower in followers:
                added = follower.poll()
                quiet = quiet and not added
                yield follower, added
            if quiet:
                time.sleep(POLL_S)
    finally:
        for follower in followers:
            follower.close()
