"""Write the files of a run, for a program that does not write them itself: events, metrics and heartbeat.

Standard library only. A line for which a full disk has no room is lost, and the program goes on.
"""

from __future__ import annotations

import itertools
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl import protocol

HEADER_LIMIT = 64 << 10  # bytes
OTHERS_LIMIT = 1 << 20  # bytes that are looked at of what others append
BEAT_BYTES = 256  # of the heartbeat, which is overwritten in place
MOST_UNWRITTEN = 100  # events that are kept until the disk has room
FLAGS = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LineFile:
    """A regular file to which whole lines are appended. A line that was cut short is ended before the next one; after a
    rotation, a new file is begun under the name. Symlinks, pipes and devices are refused: nothing is written then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._identity = (0, 0)
        self._torn = False
        self._seen = 0  # the size up to which everything is ours, or was there before, or is in `_others`
        self._others = b""
        self._written = 0  # bytes, by the last call
        self.empty = self._began_empty = True
        self._open()

    def _open(self) -> bool:
        """Open the path; False where that can't be done, or it is no regular file."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | FLAGS, 0o644)
        except OSError:
            return False
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            os.close(handle)
            return False
        if self._file >= 0:
            os.close(self._file)
        self._file, self._identity = handle, (facts.st_dev, facts.st_ino)
        self.empty = self._began_empty = facts.st_size == 0
        self._seen = facts.st_size
        with suppress(OSError):
            self._torn = facts.st_size > 0 and os.pread(handle, 1, facts.st_size - 1) != b"\n"
        return True

    def begins_anew(self) -> bool:
        """Open the path again where it names another file by now, or none; is the file empty after that?"""
        with suppress(OSError):
            facts = self._path.lstat()
            if (facts.st_dev, facts.st_ino) == self._identity:
                return False
        return self._open() and self.empty

    def append(self, lines: bytes, *, durable: bool = False) -> bool:
        """Write lines with their line breaks; False where they could not be written. `durable`: wait for the disk."""
        self.begins_anew()
        whole = b"\n" + lines if self._torn else lines
        try:
            self._written = 0
            self._written = written = os.write(self._file, whole)
            end = os.lseek(self._file, 0, os.SEEK_CUR)
            self._note_others(end - written)
            self._seen = end
            self._torn, self.empty = written < len(whole) and not whole[:written].endswith(b"\n"), False
            if durable:
                os.fsync(self._file)
        except OSError:
            return False
        return written == len(whole)

    def clear(self) -> None:
        """Remove the beginning of a line from a file that was empty, and that nobody else has written to."""
        with suppress(OSError):
            if self._began_empty and os.fstat(self._file).st_size == self._written:
                os.ftruncate(self._file, 0)
                self._torn, self.empty, self._seen = False, True, 0

    def others(self) -> bytes:
        """What others have appended since the last call."""
        with suppress(OSError):
            self._note_others(os.fstat(self._file).st_size)
        others, self._others = self._others, b""
        return others

    def _note_others(self, end: int) -> None:
        if end > self._seen:
            self._others += os.pread(self._file, min(end - self._seen, OTHERS_LIMIT), self._seen)
        self._seen = end


@dataclass
class RunFiles:
    """The files of one run. `events`, `metrics`, `heartbeat`: their real paths. `run_id`: "" where it is not known.
    `generation`: of this start; 0 where it is not known. `step`: the newest one, for every event."""

    events: Path
    metrics: Path
    heartbeat: Path
    run_id: str = ""
    generation: int = 0
    pid: int = 0
    step: int = 0
    lost: bool = False  # could a line not be written?
    _columns: tuple[str, ...] = ()
    _headed: bool = False  # has the file of metrics its header?
    _unwritten: list[bytes] = field(default_factory=list, repr=False)  # events
    _events: LineFile | None = field(default=None, repr=False)
    _metrics: LineFile | None = field(default=None, repr=False)

    def event(self, name: str, **fields: Any) -> None:
        """Write an event; it is on the disk when this returns, as far as the disk allows. One for which there is no
        room is written before the next one."""
        line = protocol.event_line(
            name, t=time.time(), pid=self.pid or os.getpid(), run_id=self.run_id, generation=self.generation,
            step=self.step, **fields,
        )  # fmt: skip
        self._events = self._events or LineFile(self.events)
        waiting = [*self._unwritten, line]
        while waiting and self._events.append(waiting[0], durable=True):
            del waiting[0]
        self._unwritten, self.lost = waiting[:MOST_UNWRITTEN], self.lost or bool(waiting)

    def write_late(self) -> None:
        """Write what could not be written before, where there is room now."""
        if self._unwritten and self._events and self._events.append(self._unwritten[0], durable=True):
            del self._unwritten[0]

    def begin_metrics(self, columns: Sequence[str]) -> None:
        """Name the columns of the metrics; `generation` follows them. A file with other columns is renamed, as by a
        rotation."""
        self._columns = (*columns, protocol.GENERATION_COLUMN)
        self._metrics = self._metrics or LineFile(self.metrics)
        if not self._metrics.empty and first_line(self.metrics) != self.header.rstrip("\n"):
            _rotate(self.metrics)
            self._metrics.begins_anew()
        self._headed = not self._metrics.empty
        self.lost |= not self._write_header(self._metrics)

    def _write_header(self, metrics: LineFile) -> bool:
        """Write the header where it is missing, whole or not at all: no row is understood without it."""
        self._headed = self._headed or metrics.append(self.header.encode())
        if not self._headed:
            metrics.clear()
        return self._headed

    @property
    def header(self) -> str:
        return ",".join(self._columns) + "\n"

    def rows(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Write rows of the metrics. A column that a row lacks stays empty."""
        assert self._metrics is not None
        lines = [",".join(_cell({**row, protocol.GENERATION_COLUMN: self.generation}, self._columns)) for row in rows]
        if not lines:
            return
        self._headed &= not self._metrics.begins_anew()
        headed = self._write_header(self._metrics)
        self.lost |= not (headed and self._metrics.append(("\n".join(lines) + "\n").encode()))

    def beat(self, section: str, limit_s: float) -> None:
        """Write the heartbeat: what the run does now, and for how many seconds at most. It is overwritten in place and
        keeps its length, which works on a full disk, too."""
        record = {
            "t": time.time(), "pid": self.pid or os.getpid(), "run_id": self.run_id, "section": section,
            "step": self.step, "limit_s": limit_s,
        }  # fmt: skip
        with suppress(OSError):
            handle = os.open(self.heartbeat, os.O_RDWR | FLAGS & ~os.O_APPEND, 0o644)
            try:
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    text = json.dumps(record).ljust(BEAT_BYTES).encode()
                    os.pwrite(handle, text, 0)
                    if os.fstat(handle).st_size > len(text):
                        os.ftruncate(handle, len(text))
            finally:
                os.close(handle)


def _cell(row: Mapping[str, object], columns: Sequence[str]) -> list[str]:
    return [_text(row.get(name)) for name in columns]


def _text(value: object) -> str:
    """A value as a cell. What would need quotes in CSV loses the characters that need them."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.8g}"
    return "".join(letter for letter in str(value) if letter not in ',"\r\n')


def first_line(path: Path) -> str:
    """The first line of a regular file; "" where there is none."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return file.readline(HEADER_LIMIT).decode("utf-8", "replace").rstrip("\r\n")
    return ""


def _rotate(path: Path) -> None:
    names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    with suppress(OSError):
        path.rename(next(name for name in names if not os.path.lexists(name)))
