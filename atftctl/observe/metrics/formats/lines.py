"""Files of lines: CSV with any columns, and JSON objects one a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.formats.decoder import MOST_COLUMNS, Columns, number_of

LONGEST = 1 << 20  # bytes of a line
BOM = "\ufeff"
DEPTH = 20  # of nested objects
DELIMITERS = ",\t;"


class _Lines:
    """Takes whole lines. A last line without an end is left: it may still be written."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._skipping = False  # the rest of a line that is cut, or too long

    def begin(self, head: bytes, *, middle: bool) -> int:
        """See Decoder."""
        del head
        self._skipping = middle
        return 0

    def take(self, data: bytes) -> tuple[list[Row], int]:
        """See Decoder."""
        begin = 0
        if self._skipping:
            begin = data.find(b"\n") + 1
            if not begin:
                return [], len(data)
            self._skipping = False
        end = data.rfind(b"\n") + 1
        if end <= begin:
            if len(data) - begin < LONGEST:
                return [], begin
            self.columns.counts.damaged += 1
            self._skipping = True
            return [], len(data)
        lines = data[begin:end].split(b"\n")
        return [row for line in lines if line.strip() and (row := self._checked(line)) is not None], end

    def _checked(self, line: bytes) -> Row | None:
        try:
            if len(line) > LONGEST:
                raise ValueError
            return self._row(line.decode())
        except (ValueError, RecursionError):
            self.columns.counts.damaged += 1
            return None

    def _row(self, line: str) -> Row | None:
        """The row of a line; None where it is a header, or has no step. Raises ValueError where it is no row."""
        raise NotImplementedError


class JsonLines(_Lines):
    """One JSON object a line. Nested objects are flattened, with dots; texts and lists are left out."""

    def _row(self, line: str) -> Row | None:
        value = json.loads(line.removeprefix(BOM))
        if not isinstance(value, dict):
            raise ValueError("no object")
        return self.columns.row(dict(flat(value)))


class CsvLines(_Lines):
    """CSV below a header that names the step. The delimiter is a comma, a tab or a semicolon."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self._header: tuple[str, ...] = ()
        self._delimiter = ","

    def begin(self, head: bytes, *, middle: bool) -> int:
        """See Decoder."""
        super().begin(head, middle=middle)
        self._header = ()
        first, end, _ = head.partition(b"\n")
        if end:
            self._begin_below(first.decode("utf-8", "replace"))
        return len(first) + 1 if self._header else 0

    def _begin_below(self, line: str) -> bool:
        """Take this line as a header, where it is one."""
        line = line.removeprefix(BOM).strip("\r\n")
        delimiter = max(DELIMITERS, key=line.count)
        try:
            cells = tuple(cell.strip() for cell in _cells(line, delimiter))
        except ValueError:
            return False
        if not self._is_header(cells):
            return False
        self._header, self._delimiter = cells, delimiter
        for name in cells:
            if name != self.columns.step:
                self.columns.takes(self.columns.prefix + name)
        return True

    def _is_header(self, cells: tuple[str, ...]) -> bool:
        fits = self.columns.step in cells and len(cells) <= 2 * MOST_COLUMNS and len(set(cells)) == len(cells)
        return fits and all(cell.isprintable() and number_of(cell) is None for cell in cells)

    def _row(self, line: str) -> Row | None:
        if self._begins(line):
            return None
        if not self._header:
            self.columns.counts.no_header += 1
            return None
        cells = _cells(line.strip("\r"), self._delimiter)
        if len(cells) != len(self._header):
            raise ValueError("torn")
        return self.columns.row({name: cell for name, cell in zip(self._header, cells, strict=True) if cell.strip()})

    def _begins(self, line: str) -> bool:
        if line[:1].isdigit() or self.columns.step not in line:
            return False
        again = bool(self._header)
        begins = self._begin_below(line)
        self.columns.counts.headers += begins and again
        return begins


def _cells(line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        raise ValueError("quotes") from None


def flat(value: dict[str, object], before: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """(dotted name, value) of everything in nested objects but texts, truth values and lists; a text that stands for a
    value that is not finite counts as this value."""
    for key, item in value.items():
        if isinstance(item, dict):
            if depth < DEPTH:
                yield from flat(item, f"{before}{key}.", depth + 1)
        elif not isinstance(item, str | bool | list) or (isinstance(item, str) and _stands_for_number(item)):
            yield f"{before}{key}", item


def _stands_for_number(text: str) -> bool:
    return len(text) < 20 and not any(letter.isdigit() for letter in text) and number_of(text) is not None
