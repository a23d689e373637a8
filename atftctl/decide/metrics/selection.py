"""The rows that somebody asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from atftctl.domain.branches import Branch
from atftctl.domain.metrics_table import MetricsTable, Row
from atftctl.domain.record import record

if TYPE_CHECKING:
    from atftctl.domain.metrics_table import Whole

ALL = "all"


@record
class Selection:
    """Selected rows of a table. `parts`: their numbers, in order. `by_branch`: the numbers of rows, by name of the
    branch; of the history, all rows of all branches, also those that were discarded. `unknown`: branches of
    whose rows it is not known whether they were written since the time that was asked for."""

    table: MetricsTable
    parts: Sequence[Whole | slice]
    by_branch: Mapping[str, Whole | slice]
    unknown: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(len(self.table.steps[part]) for part in self.parts)

    def rows(self) -> MetricsTable:
        """The rows as a table of their own."""
        import numpy as np

        if len(self) == len(self.table):
            return self.table
        if len(self.parts) == 1:
            return self.table.rows(self.parts[0])
        numbers = np.arange(len(self.table))
        return self.table.rows(np.concatenate([numbers[:0], *(numbers[part] for part in self.parts)]))

    def tail(self, count: int) -> list[Row]:
        """The newest of the rows."""
        if not count:
            return []
        rows = self.rows()
        rows = rows.rows(slice(max(0, len(rows) - count), None))
        return [_row(rows, at) for at in range(len(rows))]


def select(table: MetricsTable, branches: Sequence[Branch], name: str, since: float | None) -> Selection:
    """Rows of the branch of this name, of `all` branches, or for "" of the history of the newest one.

    since: only rows that were written since this time (unix seconds), as far as the events tell.
    """
    chosen = [branch for branch in branches if name in ("", ALL, branch.name)]
    timed = [branch for branch in chosen if since is None or branch.is_timed(since)]
    by_branch = {branch.name: _since(table, branch, since) for branch in timed}
    if name:
        parts = list(by_branch.values())
    else:
        parts = [_until(table, by_branch[branch.name], branch) for branch in timed if branch.kept_to is not None]
    filled = {branch: part for branch, part in by_branch.items() if len(table.steps[part])}
    return Selection(table, parts, filled, tuple(branch.name for branch in chosen if branch not in timed))


def _since(table: MetricsTable, branch: Branch, since: float | None) -> Whole | slice:
    """The numbers of the branch's rows since a time."""
    import numpy as np

    rows = slice(branch.begin, branch.end)
    if since is None:
        return rows
    steps, times = zip(*branch.times, strict=True)
    return branch.begin + np.flatnonzero(np.interp(table.steps[rows], steps, times) >= since)


def _until(table: MetricsTable, rows: Whole | slice, branch: Branch) -> Whole | slice:
    """Those of the rows that the newest branch descends from."""
    import numpy as np

    kept = table.steps[rows] <= (branch.kept_to or 0)
    if kept.all():
        return rows
    return np.arange(len(table))[rows][kept]


def _row(rows: MetricsTable, at: int) -> dict[str, float | None]:
    row: dict[str, float | None] = {"step": int(rows.steps[at])}
    for name, column in rows.columns.items():
        row[name] = float(column.values[at]) if column.present[at] else None
    if generation := int(rows.generations[at]):
        row["generation"] = generation
    return row
