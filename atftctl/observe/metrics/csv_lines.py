"""The lines of a CSV of metrics: where its headers are, and which lines are whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from atftctl.domain.metrics_table import SetAside

STEP = "step"
ROW_LIMIT = 64 << 10  # bytes; no row of metrics is so long
MOST_COLUMNS = 1000
NAME_LIMIT = 200  # characters
BOM = b"\xef\xbb\xbf"
QUOTED = re.compile(rb'(?m)(^|,)"([^",\r\n]*)"(?=,|\r?$)')


class Section(NamedTuple):
    """Rows below one header. `fresh`: the header stands in the middle of the file. `ascii`: the file has no other
    characters."""

    columns: tuple[str, ...]
    text: memoryview
    fresh: bool
    ascii: bool


def header_of(line: bytes) -> tuple[str, ...] | None:
    """The names of the columns, where this line is a header: one of them is the step, and none is empty, a number, or
    there twice."""
    try:
        cells = tuple(cell.strip().strip('"') for cell in line.removeprefix(BOM).decode().strip("\r\n").split(","))
    except UnicodeDecodeError:
        return None
    fits = STEP in cells and len(cells) <= MOST_COLUMNS and len(set(cells)) == len(cells)
    return cells if fits and all(map(_is_name, cells)) else None


def _is_name(cell: str) -> bool:
    if not cell or len(cell) > NAME_LIMIT or not cell.isprintable():
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def unquoted(text: bytes) -> bytes:
    """The text without the quotes around whole values, which some writers put around each."""
    return QUOTED.sub(rb"\1\2", text) if b'"' in text else text


def sections(text: bytes, header: tuple[str, ...] | None) -> tuple[list[Section], SetAside]:
    """The sections of a file's text, and what was set aside: an unfinished last line, and lines before any header.
    header: the columns of the first rows, where the text begins after the file's header."""
    whole = unquoted(text[: text.rfind(b"\n") + 1])
    headers = [*([(0, 0, header)] if header else []), *_headers(whole)]
    before = whole.count(b"\n", 0, headers[0][0] if headers else len(whole))
    begins_and_ends = zip(headers, [*(at for at, _, _ in headers[1:]), len(whole)], strict=False)
    view, ascii_only = memoryview(whole), whole.isascii()
    made = [
        Section(columns, view[begin:end], fresh=number > 0, ascii=ascii_only)
        for number, ((_, begin, columns), end) in enumerate(begins_and_ends)
    ]
    return made, SetAside(
        no_header=before, unfinished=int(not text.endswith(b"\n") and bool(text)), headers=max(0, len(made) - 1)
    )


def _headers(text: bytes) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """(start of the line, its end, the columns) of each header. Each names the step, which is quickly searched for."""
    name, end = STEP.encode(), 0
    while (at := text.find(name, end)) >= 0:
        begin, end = text.rfind(b"\n", 0, at) + 1, text.index(b"\n", at) + 1
        if end - begin <= ROW_LIMIT and (columns := header_of(text[begin:end])):
            yield begin, end, columns


def without_unfit(text: memoryview) -> tuple[memoryview, int]:
    """(the text without the lines that no row can be, how many those are): lines that are far too long, and lines with
    other characters than ASCII."""
    lines = text.tobytes().split(b"\n")
    fitting = [line for line in lines if len(line) < ROW_LIMIT and line.isascii()]
    return memoryview(b"\n".join(fitting)), len(lines) - len(fitting)
