"""Bytes of a log as lines of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 8192  # characters of a line that are kept, and searched
# Colours and movements of the cursor (ECMA-48); every other control character stays, for the screen to escape.
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
BOM = "\ufeff"


class Line(NamedTuple):
    """One line, without its break. `overwritten`: a carriage return follows it, and more text in its place, as progress
    bars write it. `cut`: it was longer than `LONGEST`."""

    text: str
    overwritten: bool = False
    cut: bool = False


def decode(raw: bytes) -> str:
    """Bytes as text; whatever is no UTF-8 becomes U+FFFD."""
    return raw.decode("utf-8", "replace")


def plain(text: str) -> str:
    """A text without colours and movements of the cursor, as its lines are searched."""
    return _SEQUENCE.sub("", text) if "\x1b" in text else text


def lines(text: str) -> Iterator[Line]:
    """The lines of a text. A line of progress is as many lines as it was written in."""
    rows = text.split("\n")
    open_end = rows.pop()  # "" where the text ends with a line break
    for row in rows:
        if "\r" in row:
            yield from _written_over(row.removesuffix("\r"), open_end=False)
        else:
            yield _line(row)
    if open_end:
        yield from _written_over(open_end, open_end=True)


def _written_over(row: str, *, open_end: bool) -> Iterator[Line]:
    """The texts of one line, each of which took the place of the one before. open_end: the line may go on."""
    *earlier, last = row.split("\r")
    for part in earlier:
        if part.strip("\0 "):
            yield _line(part, overwritten=True)
    if last or not open_end:
        yield _line(last)


def _line(row: str, *, overwritten: bool = False) -> Line:
    if "\0" in row:
        row = row.strip("\0")  # a file that was truncated under its writer begins with them
    cut = len(row) > LONGEST
    if cut:
        row = row[:LONGEST]
    row = plain(row)
    if row.startswith(BOM):
        row = row[1:]
    return Line(row, overwritten, cut)
