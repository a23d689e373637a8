"""Find the steps and figures of a training in the output of a program, by regular expressions with named groups.

Standard library only. A pattern may be slow, a line may have any length, output may be no text: each line is searched
as far as LINE_LIMIT, and a search that takes too long is cut off by a timer, so that the output is never held up.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from atftctl.protocol import is_number
from atftctl.protocol.messages import tr
from atftctl.protocol.required_text import required_text

LINE_LIMIT = 4096  # bytes of a line that are searched
BUDGET_S = 0.05  # seconds that the search of one block of output may take, at most
SHARE = 0.5  # of the time, for searches: output that comes without a pause is not held up
LINE_S = 1e-6  # that the search of a line takes at least: so many lines of a block are not even cut out
SLOW_S = 0.02  # seconds that the line gets in which the time was over; where that is not enough, it counts as slow
SLOW_MOST = 4  # such lines of one block; the lines after them are skipped
COLOURS = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\))")
STEP = "step"
STEPS_MAX = 10**15
RESERVED = ("generation",)  # columns that the writer fills in
Value = int | float | str


class _TimeIsUpError(Exception):
    pass


@dataclass(frozen=True)
class Found:
    """What one line says. `pattern`: the number of the pattern that matched. `step`: None where it names none."""

    pattern: int
    step: int | None
    values: Mapping[str, Value]


def compile_patterns(texts: Sequence[str]) -> tuple[re.Pattern[bytes], ...]:
    """The patterns. Raises ValueError, with a message for people, for one that can't be used."""
    return tuple(map(_compiled, texts))


def _compiled(text: str) -> re.Pattern[bytes]:
    try:
        pattern = re.compile(text.encode("utf-8", "surrogateescape"))
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(tr("the pattern {text!r} is no regular expression: {reason}", text=text, reason=str(error))) \
            from None  # fmt: skip
    if pattern.search(b""):
        raise ValueError(tr("the pattern {text!r} matches an empty line, and so every line", text=text))
    if wrong := [name for name in pattern.groupindex if name in RESERVED or not name.isascii()]:
        raise ValueError(tr("a group of a pattern can't have the name {name!r}", name=wrong[0]))
    return pattern


def columns_of(patterns: Sequence[re.Pattern[bytes]]) -> tuple[str, ...]:
    """The names of all groups but `step`, in the order of the patterns."""
    names = (name for pattern in patterns for name in sorted(pattern.groupindex, key=pattern.groupindex.__getitem__))
    return tuple(dict.fromkeys(name for name in names if name != STEP))


@dataclass
class LineSearch:
    """Takes the output of one stream block by block, and says what was found. `skipped`: lines that were not searched,
    since the output came faster than it can be. `slow`: lines on which a pattern took too long."""

    patterns: tuple[re.Pattern[bytes], ...]
    skipped: int = 0
    slow: int = 0
    _rest: bytes = b""
    _cut: bool = False  # is the beginning of the unfinished line searched already?
    _armed: bool = field(default=False, repr=False)
    _literals: tuple[bytes, ...] = ()
    _credit_s: float = BUDGET_S
    _fed: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        literals = tuple(required_text(pattern.pattern) for pattern in self.patterns)
        self._literals = tuple(dict.fromkeys(literals)) if all(literals) else ()

    def feed(self, block: bytes) -> list[Found]:
        """Search all lines that end in this block, within BUDGET_S. Call it in the main thread: it uses SIGPROF."""
        now, before = time.monotonic(), self._fed
        self._fed, self._credit_s = now, min(BUDGET_S, self._credit_s + SHARE * (now - before))
        text = self._rest + block if self._rest else block
        if b"\x1b" in text:
            text = COLOURS.sub(b"", text)
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        whole, rest = text[:end], text[end:]
        if whole and self._cut:
            whole, self._cut = whole[_line_end(whole, 0) :], False
        lines = self._lines_of(whole)
        if len(rest) > LINE_LIMIT:  # searched now, so that no more of it is kept
            if not self._cut:
                lines.append(rest[:LINE_LIMIT])
            self._cut, rest = True, b""
        self._rest = rest
        return self._search(lines)

    def _lines_of(self, text: bytes) -> list[bytes]:
        """The lines that may match: where each pattern needs a literal text, only those that hold one. As many as there
        is time for; the others are skipped."""
        most = max(0, int(self._credit_s / LINE_S))
        if not self._literals:
            lines = text.splitlines()
            self.skipped += max(0, len(lines) - most)
            return [line[:LINE_LIMIT] for line in lines[:most] if line]
        places: dict[int, bytes] = {}
        for literal in self._literals:
            at, left = text.find(literal), most
            while at >= 0:
                if not left:
                    self.skipped += text.count(literal, at)
                    break
                left -= 1
                begin = text.rfind(b"\n", 0, at) + 1
                begin = max(begin, text.rfind(b"\r", begin, at) + 1)
                end = _line_end(text, at)
                places[begin] = text[begin : min(end, begin + LINE_LIMIT)]
                at = text.find(literal, end)
        return [places[begin] for begin in sorted(places)]

    def spent(self, seconds: float) -> None:
        """Count what was done with the matches as time of the search."""
        self._credit_s -= seconds

    def end(self) -> list[Found]:
        """Search the last line, which has no line break."""
        rest, self._rest = self._rest, b""
        return self._search([rest[:LINE_LIMIT]]) if rest and not self._cut else []

    def _search(self, lines: list[bytes]) -> list[Found]:
        if not lines:
            return []
        begun, found = time.monotonic(), list[tuple[int, Found]]()
        before = signal.signal(signal.SIGPROF, self._ring)
        try:
            at = self._until(max(self._credit_s, SLOW_S), lines, 0, found)
            for _ in range(SLOW_MOST):
                if at >= len(lines):
                    break
                del found[next((n for n, (line, _) in enumerate(found) if line >= at), len(found)) :]
                after = self._until(SLOW_S, lines, at, found)  # the time was over in this line: it gets some of its own
                self.slow += after == at
                at = max(after, at + 1)
            self.skipped += len(lines) - at
        finally:
            self._disarm()
            signal.signal(signal.SIGPROF, before)
            self._credit_s -= time.monotonic() - begun
        return [entry for _, entry in found]

    def _until(self, limit_s: float, lines: list[bytes], at: int, found: list[tuple[int, Found]]) -> int:
        """Search from this line on; return the number of the line in which the time was over, or that of all lines."""
        try:
            self._armed = True
            signal.setitimer(signal.ITIMER_PROF, limit_s)
            for at in range(at, len(lines)):  # noqa: B020, PLR1704 - the place is needed when the timer rings
                for number, pattern in enumerate(self.patterns):
                    if match := pattern.search(lines[at]):
                        found.append((at, _found(number, match)))
                        break
            self._disarm()
        except _TimeIsUpError:
            return at
        return len(lines)

    def _disarm(self) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._armed:
            self._armed = False
            raise _TimeIsUpError


def _line_end(text: bytes, at: int) -> int:
    """The place after the line break that follows `at`."""
    feed = text.find(b"\n", at)
    feed = len(text) - 1 if feed < 0 else feed
    back = text.find(b"\r", at, feed)
    return (back if back >= 0 else feed) + 1


def _found(number: int, match: re.Match[bytes]) -> Found:
    values = {name: value_of(text) for name, text in match.groupdict().items() if text is not None}
    step = values.pop(STEP, None)
    whole = int(step) if isinstance(step, int | float) and is_number(step) and abs(step) < STEPS_MAX else None
    return Found(number, whole, values)


def value_of(text: bytes) -> Value:
    """The number that a text holds, as programs print it ("1,234", "2.5.", "1e-3", "nan"); else the text."""
    plain = text.decode("utf-8", "replace").strip()
    for candidate in (plain, plain.replace(",", "").rstrip(".:;")):
        try:
            return int(candidate) if len(candidate) < 19 and candidate.lstrip("+-").isdecimal() else float(candidate)
        except ValueError:
            continue
    return plain[:100]
