"""Search lines for kinds of errors, with patterns that somebody else wrote.

A pattern can take exponential time on a line that is made for it. The matcher itself has no clock: whoever has one
calls `tick` while it works (see host/process/cpu_ticks.py), and a pattern that takes too long is given up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from atftctl.domain.log_lines.needles import is_known, needles
from atftctl.domain.log_lines.rules import ErrorPattern, compiled
from atftctl.protocol.messages import tr

LINE_LIMIT_S = 0.5  # of processor time, for one pattern on one line
ALLOWANCE_S = 3.0  # for one pattern in all, beside a second for each `SLOWEST` characters
SLOWEST = 1_000_000
_DIGITS = frozenset("0123456789")


class TooSlowError(Exception):
    """A pattern takes too long; raised by `tick`, inside the search."""


class _Search(NamedTuple):
    """A pattern and its index in the list. `texts`: each line that it matches has one of them, where `small` the line
    in small letters; empty where that is not known."""

    number: int
    pattern: re.Pattern[str] | None  # None: a known one, which is compiled when it is needed first
    texts: tuple[str, ...]
    small: bool


class Matcher:
    """Tells the kind of error of a line. `problems`: by kind, why its pattern is not used, or not used to the end."""

    def __init__(self, patterns: Sequence[ErrorPattern]) -> None:
        self.patterns = tuple(patterns)
        self.problems: dict[str, str] = {}
        self.searched = 0  # characters; the reader counts them
        self._searches: list[_Search] = []
        self._here: list[_Search] = []  # those that may match a line of the text that was given to `narrow`
        self._spent = [0.0] * len(self.patterns)
        self._running, self._line_s = -1, 0.0
        for index, pattern in enumerate(self.patterns):
            try:
                made = None if is_known(pattern) else compiled(pattern.pattern)
            except ValueError as error:
                self.problems[pattern.name] = error.args[0]
                continue
            self._searches.append(_Search(index, made, *needles(pattern)))
        self._digits = {part for search in self._searches for part in search.texts if not _DIGITS.isdisjoint(part)}

    def narrow(self, text: str) -> bool:
        """May a line of this text match? Quick; False is certain. `kind_here` is then for lines of this text."""
        self._here = []
        shapes = _shapes(text)
        small, whole = shapes.lower(), text.lower() if self._digits else ""
        seen: dict[tuple[str, bool], bool] = {}
        for search in self._searches:
            texts = []
            for part in search.texts:
                key = (part, search.small)
                if key not in seen:
                    where = (
                        (whole if search.small else text) if part in self._digits else small if search.small else shapes
                    )
                    seen[key] = _has(where, part)
                if seen[key]:
                    texts.append(part)
            if texts or not search.texts:
                self._here.append(search._replace(texts=tuple(texts)))
        return bool(self._here)

    def kind(self, text: str) -> int | None:
        """The first pattern that matches a line, as its index in `patterns`; None where none does."""
        return self._first(self._searches, text)

    def kind_here(self, text: str) -> int | None:
        """As `kind`, for a line of the text that `narrow` was called with."""
        return self._first(self._here, text) if self._here else None

    def _first(self, searches: list[_Search], text: str) -> int | None:
        small = ""
        for search in searches:
            if search.texts:
                if search.small:
                    small = small or text.lower()
                where = small if search.small else text
                if not any(_has(where, part) for part in search.texts):
                    continue
            if self._matches(search, text):
                return search.number
        return None

    def tick(self, seconds: float) -> None:
        """So much processor time has passed. Raises TooSlowError inside the search of a pattern that takes too long."""
        index = self._running
        if index < 0:
            return
        self._spent[index] += seconds
        self._line_s += seconds
        if self._line_s > LINE_LIMIT_S or self._spent[index] > ALLOWANCE_S + self.searched / SLOWEST:
            self._running = -1
            raise TooSlowError

    def _matches(self, search: _Search, text: str) -> bool:
        self._line_s = 0.0
        try:
            pattern = search.pattern or re.compile(self.patterns[search.number].pattern)  # `re` keeps it
            self._running = search.number
            matched = pattern.search(text) is not None
            self._running = -1
        except TooSlowError:
            self._give_up(search.number, text)
            return False
        return matched

    def _give_up(self, index: int, text: str) -> None:
        """Use a pattern no longer. The lists are replaced, not changed: somebody iterates over them."""
        self._searches = [search for search in self._searches if search.number != index]
        self._here = [search for search in self._here if search.number != index]
        self.problems[self.patterns[index].name] = tr(
            "its pattern takes too long, for instance on a line of {length:,} characters; lines after that one were "
            "not searched for it",
            length=len(text),
        )


def _shapes(text: str) -> str:
    """The different lines of a text without their digits: the lines of a log are mostly the same but for numbers, and
    this is searched in a tenth of the time. A text without digits that is in one of the lines is in it."""
    lines = set(text.encode("utf-8", "surrogatepass").translate(None, b"0123456789").split(b"\n"))
    return b"\n".join(lines).decode("utf-8", "surrogatepass")


def _has(text: str, part: str) -> bool:
    """Does the text hold this part? At its end, `\\b` is the end of a word."""
    return re.search(part, text) is not None if part.endswith(r"\b") else part in text
