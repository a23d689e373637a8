"""Each column of some rows in a few figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.domain.metrics_table import Column, MetricsTable
from atftctl.domain.record import record

if TYPE_CHECKING:
    from atftctl.domain.metrics_table import Numbers


@record
class Summary:
    """One column. `count`: its values; `missing`: rows without one; `non_finite`: NaN or infinite values among the
    values. The other figures are those of the finite values; None where there is none, but `first` and `last` may be
    not finite."""

    count: int
    missing: int
    non_finite: int
    first: float | None = None
    last: float | None = None
    mean: float | None = None
    median: float | None = None
    min: float | None = None
    max: float | None = None


def summaries(table: MetricsTable, *, medians: bool = True) -> dict[str, Summary]:
    """The summary of each column."""
    return {name: _summary(column, medians=medians) for name, column in table.columns.items()}


def _summary(column: Column, *, medians: bool) -> Summary:
    import numpy as np

    values: Numbers = column.values if column.present.all() else column.values[column.present]
    finite = values if (whole := np.isfinite(values)).all() else values[whole]
    counts = len(values), len(column.values) - len(values), len(values) - len(finite)
    if not len(values):
        return Summary(*counts)
    ends = float(values[0]), float(values[-1])
    if not len(finite):
        return Summary(*counts, *ends)
    with np.errstate(over="ignore"):  # the sum of values near the largest number there is
        mean = float(finite.mean())
    middle = float(np.median(finite)) if medians else None
    return Summary(*counts, *ends, mean, middle, float(finite.min()), float(finite.max()))
