"""Follow the rows that one run of the trainer writes: each row is read once, however long the run lasts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from atftctl import protocol
from atftctl.domain.metric_rules import MetricsPlace, MetricsSince
from atftctl.domain.run_rows import Row, RunRows
from atftctl.host.files.growing import BEGIN, GrowingFile, Place
from atftctl.host.files.logs import real_path
from atftctl.observe.metrics.csv_lines import ROW_LIMIT, header_of
from atftctl.observe.metrics.run_rows import Progress, Reading, header_of_copy, ignore

KEPT = 20  # rows, the newest
WINDOW = 200  # rows; how many lines are torn is counted over one to two of them
TORN = 0.1  # of the lines: fewer torn ones than this say nothing


class FilePlace(NamedTuple):
    """Where a reader is in one of several files. `name`: relative to the project. `seen`: the last bytes before the
    offset, as hex digits. `rows`: that were read of it; `step`: of the last one."""

    name: str
    inode: int
    offset: int = 0
    seen: str = ""
    rows: int = 0
    step: int = -1

    @property
    def begin(self) -> MetricsPlace:
        """The place as it was recorded at the start of the run, where no row was read yet."""
        return MetricsPlace(*self[:4])


class Followed(NamedTuple):
    """What was read of the metrics of one run, and where to go on. `place`, `old`: see `GrowingFile`. `total`,
    `earlier`, `later`: as in `RunRows`, the total as its `count`. `torn`, `whole`: lines of this window; and of the one
    before it. `again`: rows up to this step may come again. `newest`: the greatest step. `evaluated`: rows with a value
    of the quality. `rows`: the newest ones. `files`: the places where the metrics are in other files than the one CSV
    that the protocol names."""

    place: Place = BEGIN
    old: Place = BEGIN
    header: tuple[str, ...] = ()
    total: int = 0
    earlier: int = 0
    later: int = 0
    torn: int = 0
    whole: int = 0
    torn_before: int = 0
    whole_before: int = 0
    again: int = -1
    newest: int = -1
    evaluated: int = 0
    rows: tuple[Row, ...] = ()
    files: tuple[FilePlace, ...] = ()


def followed_since(since: MetricsSince) -> Followed:
    """The state before any row of a run was read."""
    places = tuple(FilePlace(*place) for place in since.places)
    return Followed(Place(since.inode, since.offset), files=places)


class RowFollower:
    """Reads the rows of one run. wanted: the columns that are needed. quality: the column of the quality, or "".
    generation: of the run, 0 where that is not known. state: where to go on."""

    def __init__(self, root: Path, wanted: Sequence[str], quality: str, generation: int, state: Followed) -> None:
        self._file = GrowingFile(root, protocol.METRICS, state.place, state.old)
        self._wanted, self._quality, self._generation = tuple(wanted), quality, generation
        self._state, self._path = state, real_path(root, protocol.METRICS)

    @property
    def state(self) -> Followed:
        """What was read so far, and where to go on."""
        place, old = self._file.places
        return self._state._replace(place=place, old=old)

    def read(self, progress: Progress = ignore) -> Iterator[Sequence[Row]]:
        """The rows that were added, some at a time. A last line that is not complete is left for the next time.
        progress: is told how many bytes more have been read."""
        reading = self._reading()
        for piece in self._file.pieces():
            if piece.again:
                self._state = self._state._replace(again=self._state.newest)
            reading.take_all(piece.data.split(b"\n"))
            yield self._taken(reading)
            progress(len(piece.data))

    def run_rows(self) -> RunRows:
        """What is known of the rows, as everything that judges them takes it."""
        missing = bool(self._file.problem) and not self._file.exists
        return rows_of_state(self._state, self._file.written, "" if missing else self._file.problem)

    @property
    def problem(self) -> str:
        """Why the metrics can't be read now; "" where they can."""
        return self._file.problem

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _reading(self) -> Reading:
        reading = Reading(self._wanted, self._generation, -1)
        header = self._state.header or header_of(self._file.head(ROW_LIMIT)) or header_of_copy(self._path)
        if header:
            reading.begin(header)
        return reading

    def _taken(self, reading: Reading) -> Sequence[Row]:
        """The new rows; counts them and what was left out."""
        state = self._state
        rows, torn = reading.rows, reading.torn
        if state.again >= 0:
            rows = _without_known(rows, state.again)
        state = counted(state, rows, torn, reading.earlier, reading.later, reading.header, self._quality)
        self._state = state._replace(again=-1 if rows else state.again)
        reading.rows, reading.torn, reading.earlier, reading.later = [], 0, 0, 0
        return rows


def rows_of_state(state: Followed, written: float | None, problem: str) -> RunRows:
    """What is known of the rows, as everything that judges them takes it."""
    torn, lines = state.torn + state.torn_before, state.whole + state.whole_before
    return RunRows(
        state.rows, state.total, state.earlier, state.later,
        torn if torn > TORN * max(1, torn + lines) else 0,
        state.header, written, problem,
    )  # fmt: skip


def counted(
    state: Followed, rows: Sequence[Row], torn: int, earlier: int, later: int, header: tuple[str, ...], quality: str
) -> Followed:
    """The state with these rows more, and with what was left out beside them."""
    whole = state.whole + len(rows)
    full = whole + torn + state.torn > WINDOW
    return state._replace(
        header=header,
        total=state.total + len(rows),
        earlier=state.earlier + earlier,
        later=state.later + later,
        torn=0 if full else state.torn + torn,
        whole=0 if full else whole,
        torn_before=state.torn + torn if full else state.torn_before,
        whole_before=whole if full else state.whole_before,
        newest=max(state.newest, max((row.step for row in rows), default=-1)),
        evaluated=state.evaluated + sum(math.isfinite(row.values.get(quality, math.nan)) for row in rows),
        rows=(*state.rows, *rows)[-KEPT:],
    )


def _without_known(rows: Sequence[Row], newest: int) -> list[Row]:
    """The rows of a file that was written anew, from the first one on that was not read before."""
    begin = next((at for at, row in enumerate(rows) if row.step > newest), len(rows))
    return list(rows[begin:])
