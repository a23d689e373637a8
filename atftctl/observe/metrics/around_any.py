"""Find the rows of the metrics around an operation, in the files that the runbook names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from atftctl.domain.incident import Placed
from atftctl.domain.run_rows import Row
from atftctl.host.errors import HostError, reason
from atftctl.observe.metrics.any_files import newest_rows
from atftctl.observe.metrics.csv_lines import header_of
from atftctl.observe.metrics.files import MetricsFile, by_series, files_of, newest_history, runs_of
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.placing import first_run, rising, split, why_not_placed
from atftctl.observe.metrics.rows import by_runs
from atftctl.observe.metrics.run_rows import rows_in
from atftctl.observe.metrics.streams import rows_of_file
from atftctl.protocol import GENERATION_COLUMN
from atftctl.state.layout import Layout

LIMIT = 32 << 20  # bytes that are read, the newest
MOST_COLUMNS = 200  # that are kept as evidence


def around(layout: Layout, kept: bytes, wanted: Sequence[str], generation: int, first_step: int | None) -> Placed:
    """As `around.around`."""
    before, torn = rows_in(kept[: kept.rfind(b"\n") + 1], (), wanted)
    files, columns, problem = files_of(layout), Columns(layout.metrics.step, wanted), ""
    rows, cut = list[Row](), False
    try:
        rows, cut = _all_rows(files, columns)
    except (OSError, HostError) as error:
        problem = reason(error)
    if files and files[-1].is_whole:
        place: int | None = _behind_known(rows, before)
        old, new = before, rows[place:]
    else:
        place = _place(rows, before)
        old, new = (before, rows if generation else []) if place is None else (rows[:place], rows[place:])
    if not problem and place is None:
        problem = why_not_placed(kept, bool(files), layout.metrics.name)
    first, second = split(old, new, generation, first_step, placed=place is not None)
    return Placed(
        rising(first), first_run(second), torn + columns.counts.damaged, cut, kept=place is None, problem=problem
    )  # fmt: skip


def kept_rows(layout: Layout, rows: int) -> bytes:
    """The newest rows as CSV, as an operation keeps them; empty where there are none."""
    files = files_of(layout)
    if files and files[-1].is_whole:
        files = newest_history(files)
    found = newest_rows([(file, 0) for file in files], rows, Columns(layout.metrics.step))
    names = [name for name in dict.fromkeys(name for row in found for name in row.values) if _fits(name)]
    lines = [_line(["step", GENERATION_COLUMN, *names[:MOST_COLUMNS]])] if found else []
    for row in found:
        values = [repr(row.values[name]) if name in row.values else "" for name in names[:MOST_COLUMNS]]
        lines.append(_line([str(row.step), str(row.generation), *values]))
    return "".join(lines).encode()


def _line(cells: Sequence[str]) -> str:
    return ",".join(cells) + "\n"


def _fits(name: str) -> bool:
    """Can a header have this column?"""
    return "," not in name and header_of(f"step,{GENERATION_COLUMN},{name}".encode()) is not None


def _all_rows(files: Sequence[MetricsFile], columns: Columns) -> tuple[list[Row], bool]:
    """(the newest rows of all files, whether there are older ones). Raises OSError and HostError."""
    runs = [newest_history(files)] if files and files[-1].is_whole else runs_of(files)
    starts, room = dict[MetricsFile, int](), LIMIT
    for file in [file for run in runs for file in run][::-1]:
        starts[file] = 0 if file.is_whole else max(0, file.size - max(0, room))
        room -= file.size
    found = list[Row]()
    for run in runs:
        found += by_runs([_rows(series, starts, columns) for series in by_series(run)])
    return found, room < 0


def _rows(series: Sequence[MetricsFile], starts: Mapping[MetricsFile, int], columns: Columns) -> list[Row]:
    return [row for file in series if starts[file] < file.size or file.is_whole
            for rows in rows_of_file(file, columns, starts[file]) for row in rows]  # fmt: skip


def _place(rows: Sequence[Row], kept: Sequence[Row]) -> int | None:
    """The number of the row behind the last one that is kept; None where this one is not among the rows."""
    steps = list(dict.fromkeys(row.step for row in kept[::-1]))[:2]
    if not steps:
        return None
    values = _values([row for row in kept[-10:] if row.step == steps[0]])
    for at in range(len(rows) - 1, -1, -1):
        row = rows[at]
        if row.step == steps[0] and all(repr(row.values.get(name, value)) == repr(value) for name, value in values):
            earlier = next((other.step for other in rows[at::-1] if other.step != row.step), None)
            if len(steps) == 1 or earlier in (None, steps[1]):
                return at + 1
    return None


def _behind_known(rows: Sequence[Row], kept: Sequence[Row]) -> int:
    """The number of the first row that is not among those that are kept, nor older."""
    known = {row.step: _values([row]) for row in kept}
    first = min(known, default=-1)
    same = takewhile(lambda row: row.step < first or known.get(row.step) == _values([row]), rows)
    return sum(1 for _ in same) if kept else len(rows)


def _values(rows: Sequence[Row]) -> list[tuple[str, float]]:
    return sorted((name, value) for row in rows for name, value in row.values.items())
