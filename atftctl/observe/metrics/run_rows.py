"""Read the rows that one run of the trainer wrote, from the byte offset that was recorded at its start: with the
standard library only, and with the same memory for a thousand rows and for a million."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from atftctl import protocol
from atftctl.domain.run_rows import Row, RunRows
from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.csv_lines import ROW_LIMIT, STEP, header_of
from atftctl.observe.metrics.rotation import parts
from atftctl.observe.trainer_run.event_log import parts_since

NEWEST, OLDER = 2000, 1000  # rows that are kept: of the newest each, of those before them so many in all
BLOCK = 1 << 20  # bytes
GUESS = 4096  # bytes from which the length of a row is guessed
NUMBERS = b"0123456789.,+-eE\r\n "  # rows with anything else are kept: a value that is not finite, or a header
LONGEST_STEP = 18  # digits; steps are reckoned with, and a float does not hold every number
MOST_ODD = 1000  # of them

Progress = Callable[[int], None]


def ignore(size: int) -> None:
    """No progress is shown."""
    del size


@dataclass
class Reading:
    """Rows while they are read. `wanted`: the columns that are needed."""

    wanted: Sequence[str]
    generation: int
    after: int
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    earlier: int = 0
    later: int = 0
    torn: int = 0
    header: tuple[str, ...] = ()
    places: list[tuple[str, int]] = field(default_factory=list)
    step: int = -1
    number: int = -1
    odd: int = 0  # rows that were kept for a value that may not be finite

    def begin(self, header: tuple[str, ...]) -> None:
        """The next rows have these columns."""
        self.header = header
        self.places = [(name, header.index(name)) for name in self.wanted if name in header]
        self.step = header.index(STEP)
        self.number = header.index(protocol.GENERATION_COLUMN) if protocol.GENERATION_COLUMN in header else -1

    def take_all(self, lines: list[bytes]) -> None:
        """Lines that are kept."""
        for line in lines:
            if line:
                self.take(line)

    def take(self, line: bytes) -> None:
        """One line that is kept: a row, a header, or neither."""
        cells = line.split(b",")
        try:
            if len(cells) != len(self.header) or len(cells[self.step]) > LONGEST_STEP:
                raise ValueError
            step = int(cells[self.step])
            number = int(cells[self.number] or 0) if self.number >= 0 else 0
        except ValueError:
            if line.strip() and (header := header_of(line)):
                self.begin(header)
            else:
                self.torn += bool(line.strip())
            return
        if self.generation and number not in (0, self.generation):
            self.earlier += number < self.generation
            self.later += number > self.generation
        elif step > self.after:
            self.rows.append(Row(step, number, self._values(cells)))

    def _values(self, cells: list[bytes]) -> dict[str, float]:
        try:  # most rows have plain numbers only
            return {name: float(cell) for name, place in self.places if (cell := cells[place])}
        except ValueError:
            return self._numbers(cells)

    def _numbers(self, cells: list[bytes]) -> dict[str, float]:
        """The values of a row, without those that are no numbers."""
        values = {}
        for name, place in self.places:
            if cell := cells[place].strip():
                try:
                    values[name] = float(cell)
                except ValueError:
                    continue
        return values


def run_rows(
    root: Path,
    wanted: Sequence[str],
    *,
    offset: int = 0,
    inode: int = 0,
    generation: int = 0,
    after: int = -1,
    progress: Progress = ignore,
) -> RunRows:
    """As `rows_of_run`, in the one CSV that the protocol names. offset, inode: where it ended when the run was
    started."""
    reading, problem, written = Reading(wanted, generation, after), "", None
    for path, start in parts_since(root, protocol.METRICS, offset, inode):
        try:
            with open_regular(path) as file:
                written = os.fstat(file.fileno()).st_mtime
                _read(file, path, start, reading, progress)
        except FileNotFoundError:
            continue
        except (OSError, HostError) as error:
            problem = reason(error)
    return RunRows(
        tuple(reading.rows), max(reading.count, len(reading.rows)), reading.earlier, reading.later, reading.torn,
        reading.header, written, problem,
    )  # fmt: skip


def header_of_copy(path: Path) -> tuple[str, ...] | None:
    """The header that a file of metrics had before it was copied and emptied: its writer may write none again."""
    for other in reversed(parts(path.parent, path.name)):
        with suppress(OSError, HostError), open_regular(other) as file:
            if other != path and (header := header_of(file.readline(ROW_LIMIT))):
                return header
    return None


def _read(file: BufferedReader, path: Path, start: int, reading: Reading, progress: Progress) -> None:
    header = header_of(file.readline(ROW_LIMIT))
    begin, size = max(start, file.tell() if header else 0), os.fstat(file.fileno()).st_size
    if header or (not reading.header and (header := header_of_copy(path))):
        reading.begin(header)
    middle, stride = _middle(file, begin, size)
    for block in _blocks(file, begin, middle):
        lines = block.split(b"\n")
        reading.count += len(lines) - 1
        reading.take_all(_thinned(lines, block, stride, reading) if stride > 1 else lines)
        progress(len(block))
    for block in _blocks(file, middle, size):
        reading.count += block.count(b"\n")
        reading.take_all(block.split(b"\n"))
        progress(len(block))


def _middle(file: BufferedReader, begin: int, size: int) -> tuple[int, int]:
    """(the byte offset from which on each row is kept, and which one of so many before it)."""
    file.seek(begin)
    sample = file.read(GUESS)
    length = max(1, len(sample) // max(1, sample.count(b"\n")))
    if size - begin <= NEWEST * length:
        return begin, 1
    file.seek(size - NEWEST * length)
    file.readline(ROW_LIMIT)
    middle = min(file.tell(), size)
    return middle, max(1, -(-(middle - begin) // (length * OLDER)))


def _blocks(file: BufferedReader, begin: int, size: int) -> Iterator[bytes]:
    """Whole lines of a part of a file. A last line without an end is left out: it may still be written."""
    file.seek(begin)
    at, rest = begin, b""
    while at + len(rest) < size and (data := file.read(min(BLOCK, size - at - len(rest)))):
        data = rest + data
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end]
        elif len(data) > ROW_LIMIT:
            at, data = at + len(data), b""  # no row is so long
        at, rest = at + end, data[end:]


def _thinned(lines: list[bytes], block: bytes, stride: int, reading: Reading) -> list[bytes]:
    """Each so many-th line, and those that may hold a value that is not finite, or a header."""
    if reading.odd >= MOST_ODD or not block.translate(None, NUMBERS):
        return lines[::stride]
    kept = []
    for number, line in enumerate(lines):
        odd = reading.odd < MOST_ODD and bool(line.translate(None, NUMBERS))
        reading.odd += odd
        if odd or number % stride == 0:
            kept.append(line)
    return kept


def rows_in(text: bytes, header: tuple[str, ...], wanted: Sequence[str]) -> tuple[list[Row], int]:
    """(every row in these whole lines, how many of them are no rows). header: the columns of the first rows; empty
    where a header is among the lines. wanted: the columns that are needed."""
    reading = Reading(wanted, 0, -1)
    if header:
        reading.begin(header)
    reading.take_all(text.split(b"\n"))
    return reading.rows, reading.torn


@dataclass
class FileRows:
    """Every row of a file of metrics, one after the other, of whatever trainer; from a byte offset on (`start`).
    `count`: rows so far; `torn`: lines so far that were no rows.
    Iterating raises OSError and HostError where the file can't be read."""

    path: Path
    wanted: Sequence[str]
    progress: Progress = ignore
    torn: int = 0
    start: int = 0
    count: int = 0

    def __iter__(self) -> Iterator[Row]:
        reading = Reading(self.wanted, 0, -1)
        with open_regular(self.path) as file:
            if header := header_of(file.readline(ROW_LIMIT)):
                reading.begin(header)
            begin = max(self.start, file.tell() if header else 0)
            for block in _blocks(file, begin, os.fstat(file.fileno()).st_size):
                reading.take_all(block.split(b"\n"))
                self.count += len(reading.rows)
                yield from reading.rows
                reading.rows.clear()
                self.torn = reading.torn
                self.progress(len(block))
