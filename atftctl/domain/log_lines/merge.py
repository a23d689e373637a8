"""Lines of several logs as one list in the order of their times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import merge
from itertools import groupby
from typing import NamedTuple


class LogText(NamedTuple):
    """A line of a log. `time`: its own or that of the last line before it that has one; None where none has.
    `rest`: the line without its time; `dated`: it has a time of its own."""

    file: str
    text: str
    time: float | None = None
    rest: str = ""
    dated: bool = False
    error: bool = False  # a kind of error matches it


def merged(logs: Sequence[Sequence[LogText]], written: Sequence[float]) -> list[LogText]:
    """The lines of all logs by time; those of one log keep their order. A line that an earlier log of the list has with
    the same time and text is left out. written: when each log was last written: the time of a log that has no times."""
    kept = _without_duplicates(logs)
    keyed = [_keyed(lines, number, last) for number, (lines, last) in enumerate(zip(kept, written, strict=True))]
    return [line for _, _, line in merge(*keyed, key=lambda entry: entry[:2])]


def _keyed(lines: Sequence[LogText], number: int, last: float) -> list[tuple[float, int, LogText]]:
    """Each line with the time by which it is sorted: one that never decreases."""
    first = next((line.time for line in lines if line.time is not None), last)
    at, keyed = first, []
    for line in lines:
        at = max(at, line.time) if line.time is not None else at
        keyed.append((at, number, line))
    return keyed


def _without_duplicates(logs: Sequence[Sequence[LogText]]) -> list[list[LogText]]:
    """Leave out what an earlier log has: lines with a time, and the lines without one below them."""
    seen: Counter[tuple[int, str]] = Counter()
    kept = []
    for lines in logs:
        here: Counter[tuple[int, str]] = Counter()
        rows, dropping = [], False
        for line in lines:
            key = (int(line.time or 0), line.rest)
            here[key] += 1
            known = here[key] <= seen[key]
            dropping = known if line.dated else dropping
            if not (known and dropping):
                rows.append(line)
        for key, count in here.items():
            seen[key] = max(seen[key], count)
        kept.append(rows)
    return kept


def folded(lines: Sequence[LogText]) -> list[tuple[LogText, int]]:
    """Each line and how often it comes in a row, whatever its times."""
    rows = []
    for _, group in groupby(lines, key=lambda line: (line.file, line.rest)):
        same = list(group)
        rows.append((same[0], len(same)))
    return rows
