"""Count errors by kind and by time, in memory that does not grow with the log."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from atftctl.domain.log_lines.rules import Severity
from atftctl.domain.record import record

LADDER_S = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400, 604_800, 31_449_600)  # each divides the next
MOST_BINS = 400
MOST_MESSAGES = 500  # different ones that are counted apart, beside the first one of each kind
MOST_REMEMBERED = 50_000  # errors of one log that are compared with those of the next
LATEST = 1000
SHOWN = 500  # characters of a message
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")


@record
class Found:
    """One error of a log. `time`: in Unix seconds; None where neither it nor a line before it has one. `dated`: it has
    a time of its own. `message`: its line without the time, for a traceback the exception that came first. `lines`: all
    of it; `before`, `after`: what stands around it. `left_out`: lines in the middle of `lines` that are not kept."""

    kind: str
    severity: Severity
    file: str
    time: float | None
    dated: bool
    message: str
    lines: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    left_out: int = 0


@dataclass
class KindCount:
    """How often one kind occurred with one severity, and when: Unix seconds, None where nothing has a time."""

    name: str
    severity: Severity
    count: int = 0
    first: float | None = None
    last: float | None = None
    bins: Counter[int] = field(default_factory=Counter)  # by number of the bin, `Tally.bin_s` wide


@dataclass
class Message:
    """One message, with its numbers as they were when it came first, and how often it came with any numbers."""

    kind: str
    text: str
    severity: Severity = "error"
    count: int = 0
    first: float | None = None
    last: float | None = None


class Tally:
    """The counts. Feed it the errors of one log after the other, each from its beginning."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, Severity], KindCount] = {}
        self.messages: dict[tuple[str, Severity, str], Message] = {}
        self.other_messages = 0  # errors whose messages are not among `messages`
        self.latest: deque[str] = deque(maxlen=LATEST)  # messages that are no warnings
        self.bin_s = LADDER_S[0]
        self.undated = 0
        self.duplicates = 0
        self.first: Found | None = None
        self._low: int | None = None  # the first and the last bin
        self._high: int | None = None
        self._remembered: Counter[int] = Counter()  # errors of the logs before
        self._current: Counter[int] = Counter()  # of this log

    def begin_log(self) -> None:
        """The next errors are those of another log."""
        for key, count in self._current.items():
            if key in self._remembered or len(self._remembered) < MOST_REMEMBERED:
                self._remembered[key] = max(self._remembered[key], count)
        self._current.clear()

    def add(self, found: Found) -> bool:
        """Count an error; False where an earlier log holds the same one (a trainer that writes to a file and to the
        terminal writes it twice)."""
        if found.dated and self._is_duplicate(found):
            self.duplicates += 1
            return False
        row = self.kinds.setdefault((found.kind, found.severity), KindCount(found.kind, found.severity))
        _count(row, found.time)
        self._count_message(found, first=row.count == 1)
        if found.time is None:
            self.undated += 1
        else:
            self._place(row, found.time)
        if found.severity != "warning":
            self.latest.append(found.message[:SHOWN])
        return True

    @property
    def count(self) -> int:
        """Errors, without warnings."""
        return sum(row.count for row in self.kinds.values() if row.severity != "warning")

    @property
    def warnings(self) -> int:
        return sum(row.count for row in self.kinds.values() if row.severity == "warning")

    def offer_first(self, found: Found) -> None:
        """The first error of a log: it is the first of all if it came before those of the other logs. A warning is it
        only where there is no error."""
        if self.first is None or _rank(found) < _rank(self.first):
            self.first = found

    def _is_duplicate(self, found: Found) -> bool:
        key = hash((int(found.time or 0), found.message))
        if key in self._current or len(self._current) < MOST_REMEMBERED:
            self._current[key] += 1
        return 0 < self._current[key] <= self._remembered[key]

    def _count_message(self, found: Found, *, first: bool) -> None:
        """first: of its kind and severity. It is kept however many messages there are."""
        key = (found.kind, found.severity, _VARYING.sub("#", found.message[:SHOWN]))
        message = self.messages.get(key)
        if message is None:
            if len(self.messages) >= MOST_MESSAGES and not first:
                self.other_messages += 1
                return
            message = self.messages[key] = Message(found.kind, found.message[:SHOWN], found.severity)
        _count(message, found.time)

    def _place(self, row: KindCount, time: float) -> None:
        """Put a time into its bin; make the bins wider where they would be too many."""
        number = int(time // self.bin_s)
        self._low = number if self._low is None else min(self._low, number)
        self._high = number if self._high is None else max(self._high, number)
        row.bins[number] += 1
        while self._high - self._low >= MOST_BINS and self.bin_s != LADDER_S[-1]:
            self._rebin(LADDER_S[LADDER_S.index(self.bin_s) + 1])

    def _rebin(self, width: int) -> None:
        for row in self.kinds.values():
            row.bins = _merged(row.bins, width // self.bin_s)
        if self._low is not None and self._high is not None:
            self._low, self._high = self._low // (width // self.bin_s), self._high // (width // self.bin_s)
        self.bin_s = width


def _count(row: KindCount | Message, time: float | None) -> None:
    row.count += 1
    if time is not None:
        row.first = time if row.first is None else min(row.first, time)
        row.last = time if row.last is None else max(row.last, time)


def _rank(found: Found) -> tuple[bool, bool, float]:
    """What makes an error the first one."""
    return found.severity == "warning", found.time is None, found.time or 0.0


def _merged(bins: Mapping[int, int], factor: int) -> Counter[int]:
    merged: Counter[int] = Counter()
    for number, count in bins.items():
        merged[number // factor] += count
    return merged


@record
class Histogram:
    """Counts over time. `begin`: Unix seconds of the first bin, `width_s`: of each; `rows`: the counts of each kind, in
    the order of `Tally.kinds`."""

    begin: float
    width_s: int
    rows: tuple[tuple[int, ...], ...]


def histogram(tally: Tally, most: int) -> Histogram | None:
    """The counts in at most `most` bins (two or more) of the same width; None where no error has a time."""
    numbers = [number for row in tally.kinds.values() for number in row.bins]
    if not numbers:
        return None
    low, high = min(numbers) * tally.bin_s, max(numbers) * tally.bin_s
    widths = (*(step for step in LADDER_S if step >= tally.bin_s), *(LADDER_S[-1] * 2**power for power in range(1, 12)))
    width = next(step for step in widths if high // step - low // step < most)
    first, factor = low // width, width // tally.bin_s
    count = high // width - first + 1
    rows = []
    for row in tally.kinds.values():
        merged = _merged(row.bins, factor)
        rows.append(tuple(merged[first + number] for number in range(count)))
    return Histogram(float(first * width), width, tuple(rows))
