"""Find the errors in the text of one log, block by block."""

from __future__ import annotations

from dataclasses import replace

from atftctl.domain.log_lines.entries import TRACEBACK, Entry, Grouper
from atftctl.domain.log_lines.levels import lowered
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import Severity
from atftctl.domain.log_lines.tally import Found, Tally
from atftctl.domain.log_lines.text import Line, lines, plain
from atftctl.domain.log_lines.times import split_time

AFTER = 5  # lines after the first error that are kept with it
STRETCH = 32 << 10  # characters


class LogSurvey:
    """Reads one log from a certain line to its end, over rotated files too, and counts its errors in a tally.

    `since`: Unix seconds; errors that have an earlier time are not counted. It may be set between two blocks.
    """

    def __init__(self, file: str, matcher: Matcher, tally: Tally) -> None:
        self.file = file
        self.since: float | None = None
        self.cut = 0  # lines that were too long to be searched whole
        self.dated = False  # has any line a time?
        self._matcher, self._tally = matcher, tally
        self._grouper = Grouper(matcher.kind_here)
        self._time: float | None = None  # of the last line that has one
        self._written = 0.0
        self._first: Found | None = None
        self._first_number = 0
        self._after: list[str] = []
        tally.begin_log()

    def block(self, text: str, *, written: float) -> None:
        """Whole lines of the log. written: when their file was last written, in Unix seconds."""
        self._written = written
        at = 0
        while at < len(text):
            end = text.find("\n", at + STRETCH) + 1 or len(text)
            self._stretch(plain(text[at:end]))
            at = end

    def _stretch(self, text: str) -> None:
        """Some lines. Most have no error in them, which is known before they are looked at one by one."""
        self._matcher.searched += len(text)
        if not (self._matcher.narrow(text) or self._grouper.busy or TRACEBACK in text):
            self._count(self._grouper.release())
            if not self._collecting:
                self._pass_over(text)
                return
        for line in lines(text):
            self._line(line)

    @property
    def _collecting(self) -> bool:
        """Are lines after the first error still wanted?"""
        return self._first is not None and len(self._after) < AFTER

    def end(self) -> None:
        """The log ends here."""
        self._count(self._grouper.flush())
        if self._first is not None:
            self._tally.offer_first(replace(self._first, after=tuple(self._after)))

    def _pass_over(self, text: str) -> None:
        """Lines without an error: only the time of the last one matters, and what stands before the next."""
        rows = text.split("\n")
        for row in reversed(rows):
            time = split_time(row, self._written)[0] if row else None
            if time is not None:
                self._time, self.dated = time, True
                break
        self._grouper.recent.extend(line.text for line in lines("\n".join(rows[-8:])) if line.text)

    def _line(self, line: Line) -> None:
        self.cut += line.cut
        time = split_time(line.text, self._written)[0] if line.text else None
        if time is not None:
            self._time, self.dated = time, True
        self._count(self._grouper.feed(line.text, self._time))
        if self._collecting and not self._grouper.busy:
            self._after.append(line.text)

    def _count(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.kind is not None:
                self._found(entry)

    def _found(self, entry: Entry) -> None:
        pattern = self._matcher.patterns[entry.kind or 0]
        own, rest = split_time(entry.first[0], self._written)
        if own is not None and self.since is not None and own < self.since:
            return
        found = Found(
            kind=pattern.name,
            severity=self._severity(pattern.severity, entry),
            file=self.file,
            time=own if own is not None else entry.time,
            dated=own is not None,
            message=(entry.causes[0] if entry.causes else rest).strip(),
            lines=(*entry.first, *entry.last),
            before=entry.before,
            left_out=entry.left_out,
        )
        if not self._tally.add(found):
            return
        if self._first is None or self._comes_before(found, entry.number):
            self._first, self._first_number, self._after = found, entry.number, []

    @staticmethod
    def _severity(severity: Severity, entry: Entry) -> Severity:
        """That of a line is lowered by the level that the line gives itself. That of a traceback is not: the line above
        it may be of something else that went well, and nothing in the log tells whether the program went on."""
        return severity if entry.lines > 1 else lowered(severity, entry.first[0])

    def _comes_before(self, found: Found, number: int) -> bool:
        """Does this error take the place of the first one? An error takes that of a warning; of two that end in another
        order than they begin (tracebacks of several processes), the one that begins first."""
        assert self._first is not None
        warnings = self._first.severity == "warning", found.severity == "warning"
        return warnings == (True, False) or (warnings[0] == warnings[1] and number < self._first_number)
