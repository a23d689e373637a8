"""The reader of the metrics that the runbook names, in whatever format they are."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.errors import Refused
from atftctl.domain.metric_rules import MetricsSince
from atftctl.domain.metrics_table import MetricsTable, NewestRows, SetAside
from atftctl.domain.metrics_table import Row as PlainRow
from atftctl.domain.record import record
from atftctl.domain.run_rows import Row
from atftctl.domain.text import size_text
from atftctl.host.errors import HostError, reason
from atftctl.observe.metrics.columnar import TableMaker
from atftctl.observe.metrics.csv_values import require_packages
from atftctl.observe.metrics.files import MetricsFile, by_series, files_of, newest_history, newest_run, written_since
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.rows import by_runs, joined
from atftctl.observe.metrics.streams import rows_of_file
from atftctl.protocol import GENERATION_COLUMN
from atftctl.protocol.messages import Message, tr
from atftctl.state import process_record
from atftctl.state.layout import Layout

LIMIT = 128 << 20  # bytes that are read at most, the newest
NEWEST_LIMIT = 16 << 20  # the same for the newest rows, of a file
ROW_GUESS = 512  # bytes of a row, at first
TRIES = 3


@record
class AnyMetrics:
    """The metrics of the files that the runbook names."""

    layout: Layout

    @property
    def source(self) -> str:
        """See MetricsReader: the files of the newest run, where they are found."""
        files = self._files()
        return ", ".join(file.name for file in files[-3:]) or self.layout.metrics.name

    def read(self) -> MetricsTable | None:
        """See MetricsReader."""
        files = self._files()
        if not files:
            return None
        require_packages("numpy")
        columns, maker, problems, room = Columns(self.layout.metrics.step), TableMaker(), dict[str, str](), LIMIT
        starts = list[tuple[MetricsFile, int]]()
        for file in reversed(files):
            if room <= 0 or (file.size > room and not file.is_whole):
                problems[file.name] = _only_newest(LIMIT)
            if room > 0:
                starts.insert(0, (file, max(0, file.size - room)))
            room -= file.size
        series = by_series([file for file, _ in starts])
        begins = dict(starts)
        if len(series) == 1:
            for number, file in enumerate(series[0]):
                rows = self._rows(file, begins[file], columns, problems)
                maker.add(joined(rows), fresh=number > 0 and not file.follows)
        else:
            read = [[row for file in each for row in self._rows(file, begins[file], columns, problems)]
                    for each in series]  # fmt: skip
            maker.add(by_runs(read))
        return maker.table(aside_of(columns, problems), max(file.written for file in files) / 1e9)

    def newest(self, rows: int) -> NewestRows | None:
        """See MetricsReader."""
        files = self._files()
        if not files:
            return None
        for _ in range(TRIES):
            columns, problems = Columns(self.layout.metrics.step), dict[str, str]()
            found = newest_rows([(file, 0) for file in files], rows, columns, problems)
            if found or not problems:
                break
            files = self._files()  # a trainer deletes old checkpoints
        numbered = any(row.generation for row in found)
        names = (columns.step, *([GENERATION_COLUMN] if numbered else []), *columns.names)
        return NewestRows(tuple(dict.fromkeys(names)), [_plain(row, numbered) for row in found],
                          aside_of(columns, problems))  # fmt: skip

    def _files(self) -> list[MetricsFile]:
        files, run = files_of(self.layout), process_record.read(self.layout)
        written = written_since(files, run.metrics_files) if run else []
        return newest_run(files, [file.name for file, _ in written])

    def _rows(self, file: MetricsFile, start: int, columns: Columns, problems: dict[str, str]) -> list[Row]:
        found = list[Row]()
        try:
            for rows in rows_of_file(file, columns, start):
                found += rows
        except FileNotFoundError:
            newer = newest_history(files_of(self.layout)) if file.is_whole else []
            if newer and newer[0].inode != file.inode:
                return self._rows(newer[0], 0, columns, problems)  # a trainer deletes old checkpoints
            problems[file.name] = tr("it was deleted while the metrics were read")
        except (OSError, HostError) as error:
            if not problems and file.is_whole:
                raise _refusal(file, error) from None
            problems[file.name] = reason(error)
        return found


def newest_rows(
    files: Sequence[tuple[MetricsFile, int]], rows: int, columns: Columns, problems: dict[str, str] | None = None
) -> list[Row]:
    """The newest rows of these files, each from an offset on. columns, problems: what was seen is added."""
    problems = {} if problems is None else problems
    starts, series = dict(files), list[list[Row]]()
    for each in by_series([file for file, _ in files]):
        found = list[Row]()
        for file in reversed(each):
            if len(found) >= rows:
                break
            try:
                found[:0] = _end_of(file, starts[file], rows - len(found), columns, problems)
            except (OSError, HostError) as error:
                problems[file.name] = reason(error)
        series.append(found)
    return list(by_runs(series) if len(series) > 1 else joined(series[0] if series else []))[-rows:]


def _end_of(
    file: MetricsFile, floor: int, rows: int, columns: Columns, problems: dict[str, str]
) -> list[Row]:  # fmt: skip
    """The newest rows of a file. The first row of a part that is read may lack some of its values, and is left out."""
    length = ROW_GUESS * rows
    while True:
        begin = 0 if file.is_whole else max(floor, file.size - length)
        seen = Columns(columns.step, columns.wanted)
        found = list(joined(row for piece in rows_of_file(file, seen, begin) for row in piece))
        found = found[begin > floor :]
        if begin <= floor or len(found) >= rows or length >= NEWEST_LIMIT:
            break
        length = min(4 * length, NEWEST_LIMIT)
    if begin > floor and len(found) < rows:
        problems[file.name] = _only_newest(NEWEST_LIMIT)
    columns.add(seen)
    return found[-rows:]


def aside_of(columns: Columns, problems: dict[str, str]) -> SetAside:
    """What could not be used."""
    counts = columns.counts
    return SetAside(
        lines=counts.damaged, no_header=counts.no_header, not_numbers=counts.not_numbers, no_step=counts.no_step,
        headers=counts.headers, columns=len(columns.too_many), files=problems,
    )  # fmt: skip


def of_run(layout: Layout, rows: int, since: MetricsSince) -> list[Row]:
    """The newest rows that were written since a place; empty where they can't be read."""
    files = files_of(layout)
    return newest_rows(written_since(files, since.places), rows, Columns(layout.metrics.step))


def _plain(row: Row, numbered: bool) -> PlainRow:
    return {"step": row.step, **({GENERATION_COLUMN: row.generation} if numbered else {}), **row.values}


def _only_newest(limit: int) -> Message:
    return tr("only the newest {size} are read", size=size_text(limit))


def _refusal(file: MetricsFile, error: Exception) -> Refused:
    return Refused(
        tr("{path} can't be read: {reason}", path=file.name, reason=reason(error)),
        hint=tr("look at the file: ls -l {path}", path=file.name),
    )
