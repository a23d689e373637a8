"""The reader of `logs/metrics.csv` and its rotated predecessors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from atftctl import protocol
from atftctl.domain.errors import Refused
from atftctl.domain.metrics_table import Column, MetricsTable, NewestRows, Row, SetAside
from atftctl.domain.record import record
from atftctl.domain.text import size_text
from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.csv_lines import MOST_COLUMNS, ROW_LIMIT, STEP, header_of, sections, unquoted
from atftctl.observe.metrics.csv_values import require_packages, values
from atftctl.observe.metrics.rotation import is_compressed, parts
from atftctl.protocol.messages import Message, tr

if TYPE_CHECKING:
    from io import BufferedReader

GENERATION = "generation"
LIMIT = 512 << 20  # bytes that are read at most, the newest
NEWEST_LIMIT = 16 << 20  # the same for the newest rows
ROW_GUESS = 512  # bytes of a row, at first


@record
class _Text:
    """The newest bytes of a file, in whole lines. `header`: of the first of them, where it stands before them.
    `problem`: why the file was not read, or not wholly. `written`: when it was written, in Unix seconds."""

    data: bytes = b""
    header: tuple[str, ...] | None = None
    problem: str = ""
    written: float = 0.0


@record
class CsvMetrics:
    """The metrics of a run folder, as the protocol has them."""

    root: Path
    source: str = protocol.METRICS

    def read(self) -> MetricsTable | None:
        """See MetricsReader. Rotated files are read as long as all together have at most `LIMIT` bytes."""
        paths = parts(self.root, self.source)
        if not paths:
            return None
        require_packages("numpy", "pyarrow.csv")
        tables, aside, room, written = list[MetricsTable](), SetAside(), LIMIT, None
        for path in reversed(paths):
            text = self._text(path, room, newest=path == paths[-1])
            room -= len(text.data)
            aside += SetAside(files={path.name: text.problem} if text.problem else {})
            tables[:0] = made = _tables(text.data, text.header)
            if written is None and any(map(len, made)):
                written = text.written
        return replace(_joined(tables, aside), written=written)

    def newest(self, rows: int) -> NewestRows | None:
        """See MetricsReader. Where the columns changed in the middle of a file, rows before are read with the columns
        of the file's first header."""
        paths = parts(self.root, self.source)
        columns: tuple[str, ...] = ()
        found: list[Row] = []
        aside = SetAside()
        for path in reversed(paths):
            if len(found) >= rows:
                break
            more, whole = self._newest_of(path, rows - len(found), newest=path == paths[-1])
            columns, aside = tuple(dict.fromkeys((*columns, *more.columns))), aside + more.set_aside
            found[:0] = more.rows
            if not whole:
                break  # older rows would follow a gap
        aside += SetAside(columns=max(0, len(columns) - MOST_COLUMNS))
        return NewestRows(columns[:MOST_COLUMNS], found, aside) if paths else None

    def _text(self, path: Path, room: int, *, newest: bool) -> _Text:
        """The newest `room` bytes of a file."""
        if is_compressed(path):
            return _Text(problem=tr("it is compressed"))
        if room <= 0:
            return _Text(problem=_only_newest(LIMIT))
        try:
            with open_regular(path) as file:
                facts = os.fstat(file.fileno())
                if facts.st_size <= room:
                    return _Text(file.read(room), written=facts.st_mtime)
                header = header_of(file.readline(ROW_LIMIT))
                file.seek(facts.st_size - room)
                data = file.read(room)
                return _Text(data[data.find(b"\n") + 1 :], header, _only_newest(LIMIT), facts.st_mtime)
        except (OSError, HostError) as error:
            if newest:
                raise self._refusal(error) from None
            return _Text(problem=reason(error))

    def _newest_of(self, path: Path, rows: int, *, newest: bool) -> tuple[NewestRows, bool]:
        """(the newest rows of a file, whether there are no older ones in it where these are too few)."""
        if is_compressed(path):
            return NewestRows((), [], SetAside(files={path.name: tr("it is compressed")})), True
        try:
            with open_regular(path) as file:
                found, whole = _end_of(file, rows)
        except (OSError, HostError) as error:
            if newest:
                raise self._refusal(error) from None
            return NewestRows((), [], SetAside(files={path.name: reason(error)})), True
        if whole or len(found.rows) == rows:
            return found, True
        cut = SetAside(files={path.name: _only_newest(NEWEST_LIMIT)})
        return replace(found, set_aside=found.set_aside + cut), False

    def _refusal(self, error: Exception) -> Refused:
        return Refused(
            tr("{path} can't be read: {reason}", path=self.source, reason=reason(error)),
            hint=tr("look at the file: ls -l {path}", path=self.source),
        )


def _only_newest(limit: int) -> Message:
    return tr("only the newest {size} are read", size=size_text(limit))


def _tables(text: bytes, header: tuple[str, ...] | None) -> list[MetricsTable]:
    """A table of each section of a file."""
    parts_of_file, aside = sections(text, header)
    tables = [_table(*values(section), fresh=section.fresh) for section in parts_of_file]
    return [*tables, _table({}, aside, fresh=False)]


def _table(columns: Mapping[str, Column], aside: SetAside, *, fresh: bool) -> MetricsTable:
    """The table of these columns, without the rows that have no step. fresh: it begins below a second header."""
    import numpy as np

    columns = dict(columns)
    steps = columns.pop(STEP, Column(np.empty(0), np.empty(0, bool)))
    generations = columns.pop(GENERATION, Column(np.zeros(len(steps.values)), steps.present))
    whole = steps.present & (steps.values >= 0) & (steps.values < 2**53) & (np.floor(steps.values) == steps.values)
    begins = np.zeros(len(whole), bool)
    begins[:1] = fresh
    numbers = np.nan_to_num(generations.values, nan=0.0, posinf=0.0, neginf=0.0)
    table = MetricsTable(
        np.where(whole, steps.values, 0).astype(np.int64),
        np.clip(numbers, 0, 2**53).astype(np.int64),
        begins,
        columns,
        aside + SetAside(no_step=int(len(whole) - whole.sum())),
    )
    return table if whole.all() else _without(table, whole)


def _without(table: MetricsTable, kept: object) -> MetricsTable:
    """The rows that are kept; the first of them is fresh where the table's first row is."""
    import numpy as np

    assert isinstance(kept, np.ndarray)
    fresh = bool(table.fresh[:1].any())
    table = table.rows(kept)
    table.fresh[:1] = fresh
    return table


def _joined(tables: Sequence[MetricsTable], aside: SetAside) -> MetricsTable:
    """One table of all, in this order; a column that one of them lacks has no values there. Of more columns than
    `MOST_COLUMNS` those that came last are kept."""
    import numpy as np

    for table in tables:
        aside += table.set_aside
    names = dict.fromkeys(name for table in tables for name in table.columns)
    if len(names) > MOST_COLUMNS:
        aside += SetAside(columns=len(names) - MOST_COLUMNS)
        newest = dict.fromkeys(name for table in reversed(tables) for name in table.columns)
        kept = set(list(newest)[:MOST_COLUMNS])
        names = dict.fromkeys(name for name in names if name in kept)
    filled = [table for table in tables if len(table)] or [
        MetricsTable(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), {})
    ]
    return MetricsTable(
        np.concatenate([table.steps for table in filled]),
        np.concatenate([table.generations for table in filled]),
        np.concatenate([table.fresh for table in filled]),
        _columns(filled, list(names)),
        aside,
    )


def _columns(tables: Sequence[MetricsTable], names: Sequence[str]) -> dict[str, Column]:
    """The columns of all tables below each other. Takes time only for what the tables have."""
    rows = sum(map(len, tables))
    if len(tables) == 1:
        return {name: tables[0].columns.get(name) or _missing(rows) for name in names}
    columns = {name: _missing(rows) for name in names}
    at = 0
    for table in tables:
        for name in table.columns.keys() & columns.keys():
            columns[name].values[at : at + len(table)] = table.columns[name].values
            columns[name].present[at : at + len(table)] = table.columns[name].present
        at += len(table)
    return columns


def _missing(rows: int) -> Column:
    import numpy as np

    return Column(np.full(rows, np.nan), np.zeros(rows, bool))


def _end_of(file: BufferedReader, rows: int) -> tuple[NewestRows, bool]:
    """(the newest rows of a file, as far as `NEWEST_LIMIT` bytes hold them; whether it was read from its beginning)."""
    line = file.readline(ROW_LIMIT)
    header = header_of(line)
    size = os.fstat(file.fileno()).st_size
    whole = max(0, size - (len(line) if header else 0))
    length = rows * ROW_GUESS
    while True:
        length = min(length, NEWEST_LIMIT, whole)
        file.seek(size - length)
        text = file.read(length)
        if length < whole:
            text = text[text.find(b"\n") + 1 :]
        if length in (NEWEST_LIMIT, whole) or text.count(b"\n") > rows:
            lines = text[: text.rfind(b"\n") + 1]
            names, found, aside = _rows(lines, header, rows)
            if length in (NEWEST_LIMIT, whole) or len(found) == rows:
                aside += SetAside(unfinished=int(len(lines) < len(text)))
                return NewestRows(names, found, aside), length == whole
        length *= 4


def _rows(text: bytes, header: tuple[str, ...] | None, most: int) -> tuple[tuple[str, ...], list[Row], SetAside]:
    """The last `most` rows of whole lines; (columns, rows, what was set aside behind the first of them)."""
    lines = unquoted(text).splitlines()
    begins = [(-1, header), *((at, columns) for at, line in enumerate(lines) if (columns := _begins(line)))]
    names, found = dict[str, None](), list[Row]()
    torn = refused = headers = alone = 0
    for at in range(len(lines) - 1, -1, -1):
        if len(found) == most:
            break
        if at == begins[-1][0]:
            begins.pop()
            headers += 1
            continue
        columns = begins[-1][1]
        cells = lines[at].decode("utf-8", "replace").split(",")
        if columns is None:
            alone += bool(lines[at].strip())
            continue
        if len(cells) != len(columns) or not lines[at].isascii():
            torn += bool(lines[at].strip())
            continue
        row, wrong = _row(columns, cells)
        refused += wrong
        names |= dict.fromkeys(columns)
        found.append(row)
    return tuple(names), found[::-1], SetAside(lines=torn, no_header=alone, not_numbers=refused, headers=headers)


def _begins(line: bytes) -> tuple[str, ...] | None:
    """The columns, where this line is a header."""
    return None if line[:1].isdigit() else header_of(line)


def _row(header: tuple[str, ...], cells: Sequence[str]) -> tuple[Row, int]:
    """(the values by column, how many cells are no numbers)."""
    values: dict[str, float | None] = {}
    wrong = 0
    for name, cell in zip(header, cells, strict=True):
        try:
            values[name] = float(cell.replace("_", "?")) if cell else None  # Python reads 1_0 as 10
        except ValueError:
            values[name], wrong = None, wrong + 1
    return values, wrong
