"""What `metrics` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from atftctl.domain.curve import Curve
from atftctl.domain.metrics_table import SetAside
from atftctl.domain.record import record
from atftctl.domain.result import Data

if TYPE_CHECKING:
    from atftctl.decide.metrics.summary import Summary
    from atftctl.domain.branches import Branch


@record
class BranchData(Data):
    """The rows of one start of the trainer.

    name: its generation; where that is not known, a number that atftctl gave it. generation: the generation, or null.
    first_step: the first step. last_step: the last step. rows: number of rows. started: when it began, by the events,
    or null. ended: the time of its last row, or null. came_from: name of the branch that it goes on from, or empty.
    resumed_at: the step that it goes on from; 0 for new weights. kept_to: the last step that the newest branch descends
    from, or null. discarded: number of training steps that were given up. cost_s: seconds of training that were given
    up, or null.
    """

    name: str
    generation: int | None
    first_step: int
    last_step: int
    rows: int
    started: str | None
    ended: str | None
    came_from: str
    resumed_at: int
    kept_to: int | None
    discarded: int
    cost_s: float | None


@record
class ColumnData(Data):
    """One column of some rows; text where a value is not finite, null where there is none.

    count: number of values. missing: number of rows without a value. non_finite: number of NaN and infinite values.
    first: the first value. last: the last value. mean: mean of the finite values. median: median of the finite values,
    null in summaries. min: the least finite value. max: the greatest finite value.
    """

    count: int
    missing: int
    non_finite: int
    first: float | str | None
    last: float | str | None
    mean: float | str | None
    median: float | str | None
    min: float | str | None
    max: float | str | None


@record
class SummaryData(Data):
    """The columns of some rows.

    branch: name of the branch; empty for the history. rows: number of rows. first_step: the first step. last_step: the
    last step. columns: the columns, by name.
    """

    branch: str
    rows: int
    first_step: int
    last_step: int
    columns: Mapping[str, ColumnData]


@record
class CurveData(Data):
    """A curve, thinned so that it looks the same.

    column: name of the column. title: what people call it. unit: unit of the values. steps: training steps; numbers of
    rows where the steps of the rows do not rise. measured: values at these steps; text where one is not finite. ends:
    what people call the first and the last step.
    """

    column: str
    title: str
    unit: str
    steps: tuple[float, ...]
    measured: tuple[float | str, ...]
    ends: tuple[str, str] = ("", "")

    @property
    def curve(self) -> Curve:
        """The curve itself, for a picture."""
        return Curve(self.title, self.steps, [float(value) for value in self.measured], self.unit, self.ends)


@record
class SetAsideData(Data):
    """What could not be read.

    lines: lines that are torn, or have another number of values than their header. no_header: lines without a header
    above them that names the step. unfinished: last lines without an end. not_numbers: values that are not numbers.
    no_step: rows without a step. headers: headers after the first of a file. columns: columns, of more than 1,000 names
    in all. files: files that were not read, or not wholly, by name, with the reason.
    """

    lines: int
    no_header: int
    unfinished: int
    not_numbers: int
    no_step: int
    headers: int
    columns: int
    files: Mapping[str, str]


@record
class MetricsData(Data):
    """Data of `metrics`.

    source: file of the metrics, relative to the project. selected: what rows are shown: empty for the history that the
    newest branch descends from, `all`, or the name of a branch. rows: number of rows that are shown. branches: all
    branches, the oldest first; empty with `--tail` alone. columns: names of the columns, those of the runbook first.
    tail: the newest rows, by column, with `--tail`. summaries: the figures of each branch with `--summary`, otherwise
    those of the rows that are shown. curves: curves by role: `quality`, `loss`, `memory`, `step_time`. set_aside: what
    could not be read. plot: file that the curves were written to, or empty.
    """

    source: str
    set_aside: SetAsideData
    selected: str = ""
    rows: int = 0
    branches: tuple[BranchData, ...] = ()
    columns: tuple[str, ...] = ()
    tail: tuple[Mapping[str, float | str | None], ...] = ()
    summaries: tuple[SummaryData, ...] = ()
    curves: Mapping[str, CurveData] = field(default_factory=dict)
    plot: str = ""


def number(value: float | None) -> float | str | None:
    """A value as JSON has it: a whole one without a point; text for one that is not finite."""
    if value is None or isinstance(value, int):
        return value
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def branch_data(branch: Branch) -> BranchData:
    return BranchData(
        name=branch.name,
        generation=branch.generation or None,
        first_step=branch.first_step,
        last_step=branch.last_step,
        rows=branch.end - branch.begin,
        started=_time(branch.times[0][1]) if branch.times else None,
        ended=_time(branch.times[-1][1]) if branch.times else None,
        came_from=branch.came_from,
        resumed_at=branch.from_step,
        kept_to=branch.kept_to,
        discarded=branch.discarded,
        cost_s=branch.cost_s,
    )


def column_data(summary: Summary) -> ColumnData:
    return ColumnData(
        count=summary.count,
        missing=summary.missing,
        non_finite=summary.non_finite,
        first=number(summary.first),
        last=number(summary.last),
        mean=number(summary.mean),
        median=number(summary.median),
        min=number(summary.min),
        max=number(summary.max),
    )


def curve_data(column: str, curve: Curve) -> CurveData:
    return CurveData(
        column=column,
        title=curve.title,
        unit=curve.unit,
        steps=tuple(curve.xs),
        measured=tuple(value if math.isfinite(value) else str(value) for value in curve.ys),
        ends=curve.ends,
    )


def set_aside_data(aside: SetAside) -> SetAsideData:
    return SetAsideData(**{item.name: getattr(aside, item.name) for item in fields(SetAside)})


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
