"""The rows of one run of the trainer, from all files that it has written to since its start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from atftctl.domain.metric_rules import MetricsPlace, MetricsSince
from atftctl.domain.run_rows import Row, RunRows
from atftctl.host.errors import HostError, reason
from atftctl.observe.metrics.files import MetricsFile, files_of, runs_of, written_since
from atftctl.observe.metrics.formats.decoder import Columns
from atftctl.observe.metrics.rows import in_order
from atftctl.observe.metrics.run_rows import Progress, ignore
from atftctl.observe.metrics.streams import inherited, rows_of_file
from atftctl.observe.metrics.thinned import Thinned
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

NEWEST = 2 << 20  # bytes of a file that a window needs at most


def run_rows(
    layout: Layout,
    wanted: Sequence[str],
    since: MetricsSince,
    *,
    generation: int,
    after: int,
    progress: Progress,
) -> RunRows:
    """As `rows_of_run`, in the files that the runbook names."""
    reading = RunReading(Columns(layout.metrics.step, wanted), generation)
    files = files_of(layout)
    kept, written, problem = Thinned(), None, ""
    starts = dict(written_since(files, since.places))

    def read(file: MetricsFile) -> Iterator[list[Row]]:
        nonlocal problem
        try:
            for rows in rows_written(file, starts[file], files, since.places, reading.columns, progress):
                yield reading.own(rows)
        except (OSError, HostError) as error:
            problem = reason(error)

    kept.add(row for row in in_order(list(starts), read) if row.step > after)
    if starts:
        written = max(file.written for file in starts) / 1e9
    return RunRows(
        kept.rows(), kept.total, reading.earlier, reading.later, reading.columns.counts.damaged,
        header_of(reading.columns), written, problem,
    )  # fmt: skip


class RunReading:
    """Leaves the rows of other generations out, and counts them."""

    def __init__(self, columns: Columns, generation: int) -> None:
        self.columns, self.generation = columns, generation
        self.earlier = self.later = 0

    def own(self, rows: list[Row]) -> list[Row]:
        """The rows that this generation may have written."""
        if not self.generation or all(row.generation in (0, self.generation) for row in rows):
            return rows
        self.earlier += sum(0 < row.generation < self.generation for row in rows)
        self.later += sum(row.generation > self.generation for row in rows)
        return [row for row in rows if row.generation in (0, self.generation)]


def rows_written(
    file: MetricsFile, start: int, files: Sequence[MetricsFile], places: Sequence[MetricsPlace], columns: Columns,
    progress: Progress = ignore,
) -> Iterator[list[Row]]:  # fmt: skip
    """The rows that were written to a file since the places were recorded, some at a time. files: all that there are.
    Raises OSError and HostError where it can't be read."""
    for rows in rows_of_file(file, columns, start, progress):
        yield rows[inherited(rows, file, files, places, columns) :] if file.is_whole else rows


def header_of(columns: Columns) -> tuple[str, ...]:
    """The names of all columns that were seen."""
    return (columns.step, *columns.names)


def rows_since(layout: Layout, since: MetricsSince, generation: int) -> list[Row]:
    """The rows that were written since a place; of each file only those of the newest `NEWEST` bytes. What can't be
    read is left out; so is everything where another run writes, too."""
    reading = RunReading(Columns(layout.metrics.step), generation)
    files = files_of(layout)
    starts = {file: max(start, file.size - NEWEST) for file, start in written_since(files, since.places)}
    if _foreign(list(starts), since.places):
        return []

    def read(file: MetricsFile) -> Iterator[list[Row]]:
        start = 0 if file.is_whole else starts[file]
        with suppress(OSError, HostError):
            for rows in rows_written(file, start, files, since.places, reading.columns):
                yield reading.own(rows)

    return list(in_order(list(starts), read))


def all_rows_since(layout: Layout, since: MetricsSince, wanted: Sequence[str]) -> Iterator[Row]:
    """Every row that was written since a place. Raises OSError and HostError where a file can't be read, and where it
    can't be said which of several runs in the folder has written it."""
    files, columns = files_of(layout), Columns(layout.metrics.step, wanted)
    starts = dict(written_since(files, since.places))
    if names := _foreign(list(starts), since.places):
        raise _two_runs(names)
    owners = {file: run[-1].name for run in runs_of(list(starts)) for file in run}
    of_column = dict[str, str]()

    def read(file: MetricsFile) -> Iterator[list[Row]]:
        owner = owners.get(file, file.name)
        for rows in rows_written(file, starts[file], files, since.places, columns):
            for name in {name for row in rows for name in row.values}:
                if of_column.setdefault(name, owner) != owner:
                    raise _two_runs([of_column[name], owner])
            yield rows

    return in_order(list(starts), read)


def _foreign(files: Sequence[MetricsFile], places: Sequence[MetricsPlace]) -> list[str]:
    """A file of each run, where several have written these files and not all of them began since the places were
    recorded: another run than the recorded one is among them."""
    runs, known = runs_of(files), {place.inode for place in places}
    began = [any(file.inode not in known for file in run) for run in runs]
    return [run[-1].name for run in runs] if len(runs) > 1 and not all(began) else []


def _two_runs(names: Sequence[str]) -> HostError:
    listed = ", ".join(names[:3])
    return HostError(
        tr("several runs write metrics, and it is not known which one is the trainer: {files}", files=listed)
    )
