"""Look for the nearest line with a time at an offset of a file, without reading more than a few MB."""

from __future__ import annotations

from io import BufferedIOBase
from typing import NamedTuple

from atftctl.domain.log_lines.text import decode, lines
from atftctl.domain.log_lines.times import split_time
from atftctl.observe.log_files.blocks import next_data
from atftctl.observe.log_files.parts import Part, damaged, open_part

FIRST, MOST = 64 << 10, 4 << 20  # bytes that are read at first, and at most
NEARLY = 1000  # bytes at the beginning of a line in which its time must be


class TimedLine(NamedTuple):
    """A line with a time: the byte offsets of its begin and of the next line, and its time in Unix seconds."""

    begin: int
    end: int
    time: float


class Probe(NamedTuple):
    """What was found. `whole`: the file was read to its end."""

    line: TimedLine | None
    whole: bool = False


def probe(part: Part, offset: int) -> Probe:
    """The first line with a time that begins at `offset` or after it. Nothing where the file can't be read."""
    try:
        with open_part(part) as file:
            size = FIRST
            while True:
                begin, data, at_end = _read(file, part, offset, size)
                line = _first_timed(data, begin, part.written)
                if line or at_end or size >= MOST:
                    return Probe(line, at_end)
                size *= 8
    except damaged():
        return Probe(None)


def _read(file: BufferedIOBase, part: Part, offset: int, size: int) -> tuple[int, bytes, bool]:
    """(the offset of the first whole line from `offset` on, the bytes from there, whether they reach the end)."""
    if part.packed:
        file.seek(0)
        data = file.read(size)
        return 0, data, len(data) < size
    base = max(offset - 1, 0)
    begin = max(next_data(file, base), base)
    file.seek(begin)
    data = file.read(min(size, max(part.size - begin, 0)))
    at_end = begin + len(data) >= part.size
    if offset == 0 or begin > base:  # the beginning of the file, or what follows a hole
        return begin, data, at_end
    cut = data.find(b"\n") + 1
    return (begin + cut, data[cut:], at_end) if cut else (part.size, b"", at_end)


def _first_timed(data: bytes, begin: int, written: float) -> TimedLine | None:
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        for line in lines(decode(data[at:end].lstrip(b"\0")[:NEARLY])):
            time = split_time(line.text, written)[0]
            if time is not None:
                return TimedLine(begin + at, begin + end, time)
        at = end
    return None


def time_before(part: Part, offset: int) -> float | None:
    """The time of the last line with one in the 64 KiB before `offset`. None for packed files."""
    if part.packed or offset <= 0:
        return None
    try:
        with open_part(part) as file:
            file.seek(max(offset - FIRST, 0))
            rows = file.read(min(FIRST, offset)).split(b"\n")
    except damaged():
        return None
    for row in reversed(rows if offset <= FIRST else rows[1:]):
        time = split_time(decode(row.lstrip(b"\0")[:NEARLY]), part.written)[0] if row else None
        if time is not None:
            return time
    return None


def line_start(part: Part, offset: int) -> int:
    """The offset of the first line that begins at `offset` or after it; `offset` itself in a line that is longer than a
    few MB."""
    if offset <= 0 or part.packed:
        return 0
    try:
        with open_part(part) as file:
            file.seek(offset - 1)
            cut = file.read(MOST).find(b"\n")
    except damaged():
        return offset
    return offset + cut if cut >= 0 else offset
