"""Put together what belongs together: a Python traceback with the line before it, which says what failed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from atftctl.domain.log_lines.times import split_time

TRACEBACK = "Traceback (most recent call last)"
CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
CONTEXT = 5  # lines before an entry that are kept with it
MOST_LINES = 2000  # of one traceback
KEPT_FIRST, KEPT_LAST = 60, 40  # of them, the first and the last lines are kept
MOST_OPEN = 64  # tracebacks that several processes write at the same time
MOST_FOREIGN = 200  # lines of others after which a traceback counts as ended
# What a launcher writes before each line of one process: "[rank0]: ", "trainer-1 | ", "(Worker pid=12) ".
_WRITER = re.compile(r"\s*(?:\[[^\]]{1,40}\]:?|[\w.= -]{1,40}[:|]|\([^)]{1,60}\))\s*")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.<>]{0,200}(?::(?:\s|$)|$)")

KindOf = Callable[[str], int | None]


@dataclass
class Entry:
    """One line, or one traceback with the line before it. `kind`: the index of its pattern, None where none matches.
    `time`: of its first line or of the last line before it that has one. `causes`: the exceptions of its tracebacks,
    the one that came first at first. `number`: grows with the place of its first line in the log. `left_out`: lines
    between `first` and `last` that are not kept."""

    kind: int | None
    time: float | None
    first: list[str]
    before: tuple[str, ...] = ()
    last: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LAST))
    causes: list[str] = field(default_factory=list)
    lines: int = 1
    number: int = 0

    @property
    def left_out(self) -> int:
        return self.lines - len(self.first) - len(self.last)

    def add(self, text: str) -> None:
        """One more line."""
        self.lines += 1
        if len(self.first) < KEPT_FIRST:
            self.first.append(text)
        else:
            self.last.append(text)

    def note_kind(self, kind: int | None) -> None:
        """A line of it is of this kind; the first pattern of the list that matches any line counts."""
        if kind is not None and (self.kind is None or kind < self.kind):
            self.kind = kind


@dataclass
class _Traceback:
    """A traceback whose end has not been read. `timed`: the line before it begins with a time, so that all lines
    without one belong to it."""

    entry: Entry
    timed: bool
    part: Literal["frames", "message", "chain"] = "frames"
    blanks: int = 0
    foreign: int = 0  # lines of others since its last one


class Grouper:
    """Makes entries of lines. `kind_of` is asked for each line but those that quote code."""

    def __init__(self, kind_of: KindOf) -> None:
        self._kind_of = kind_of
        self._held: Entry | None = None  # the last line, which a traceback may follow
        self._open: dict[str, _Traceback] = {}  # by what their process writes before each line
        self._number = 0
        self.recent: deque[str] = deque(maxlen=CONTEXT)

    @property
    def busy(self) -> bool:
        """Is a traceback open? Then the next line may belong to it, whatever it says."""
        return bool(self._open)

    def feed(self, text: str, time: float | None = None) -> list[Entry]:
        """Read a line, of this time; the entries that are complete now."""
        if self._open:
            taken, ended = self._continue(text)
            if taken:
                return ended
            return [*ended, *self._line(text, time)]
        return self._line(text, time)

    def flush(self) -> list[Entry]:
        """The end of the log: all entries that are left."""
        entries = [self._held] if self._held else []
        entries += [traceback.entry for traceback in self._open.values()]
        self._held = None
        self._open.clear()
        return entries

    def release(self) -> list[Entry]:
        """The line that is held; no traceback follows it."""
        entries = [self._held] if self._held else []
        self._held = None
        return entries

    def _line(self, text: str, time: float | None) -> list[Entry]:
        ready: list[Entry] = []
        self._number += 1
        at = text.find(TRACEBACK)
        if at >= 0:
            ready = self._begin(text, time, text[:at])
        else:
            kind = self._kind_of(text)
            ready = self.release()
            before = tuple(self.recent) if kind is not None else ()
            self._held = Entry(kind, time, [text], before, number=self._number)
        self.recent.append(text)
        return ready

    def _begin(self, text: str, time: float | None, lead: str) -> list[Entry]:
        """A traceback begins. lead: what stands before its first words."""
        head, ready = self._held, list[Entry]()
        self._held = None
        if head is not None and head.kind is not None:
            entry = head
            entry.add(text)
        else:
            ready = [head] if head else []
            entry = Entry(None, time, [text], tuple(self.recent), number=self._number)
        entry.note_kind(self._kind_of(text))
        writer = lead if _WRITER.fullmatch(lead) else ""
        if writer in self._open or len(self._open) >= MOST_OPEN:
            ready += [traceback.entry for traceback in self._open.values()]
            self._open.clear()
        self._open[writer] = _Traceback(entry, timed=split_time(entry.first[0])[0] is not None)
        return ready

    def _continue(self, text: str) -> tuple[bool, list[Entry]]:
        """(whether an open traceback takes this line, the entries that end here)."""
        ended: list[Entry] = []
        for writer in sorted(self._open, key=len, reverse=True):
            traceback = self._open[writer]
            writes = text.startswith(writer.rstrip())
            if not writes and traceback.entry.lines <= 2 and text[:1] in (" ", "\t") and "" not in self._open:
                self._open[""] = self._open.pop(writer)  # what stands before its first words is before them only
                writer, writes = "", True  # noqa: PLW2901
            if writes and self._take(traceback, text, text[len(writer) :]):
                traceback.foreign = 0
                self.recent.append(text)
                return True, ended
            traceback.foreign += 1
            if (writes and traceback.part != "frames") or traceback.foreign > MOST_FOREIGN:
                ended.append(self._open.pop(writer).entry)
        return False, ended

    def _take(self, traceback: _Traceback, text: str, body: str) -> bool:
        """Does this line belong to the traceback?"""
        takes = {"frames": self._frame, "message": self._message, "chain": self._chain}[traceback.part]
        if traceback.entry.lines >= MOST_LINES or not takes(traceback, body):
            return False
        traceback.entry.add(text)
        return True

    def _frame(self, traceback: _Traceback, body: str) -> bool:
        """The frames, up to the line of the exception. Between them may be lines of other threads."""
        if body and body[0] not in " \t|+":
            if TRACEBACK in body or split_time(body)[0] is not None or not _EXCEPTION.match(body):
                return False
            traceback.part, traceback.blanks = "message", 0
            self._cause(traceback, body)
        elif "|" in body and _EXCEPTION.match(inner := body.lstrip(" |+-")) and ": " in inner:
            self._cause(traceback, inner)  # in an exception group
        return True

    def _cause(self, traceback: _Traceback, text: str) -> None:
        traceback.entry.causes.append(text)
        traceback.entry.note_kind(self._kind_of(text))

    def _message(self, traceback: _Traceback, body: str) -> bool:
        """What follows the exception: more lines of its message, or a chained traceback."""
        if not body.strip():
            traceback.blanks += 1
            return traceback.blanks == 1
        if body.startswith(CHAINED):
            traceback.part = "chain"
            return True
        if traceback.blanks or TRACEBACK in body or split_time(body)[0] is not None:
            return False
        if not traceback.timed and body[0] not in " \t|+":
            return False
        traceback.entry.note_kind(self._kind_of(body))
        return True

    def _chain(self, traceback: _Traceback, body: str) -> bool:
        """Between two chained tracebacks."""
        if TRACEBACK in body:
            traceback.part = "frames"
            return True
        return not body.strip()
