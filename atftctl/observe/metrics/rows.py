"""Rows of several files as one sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, pairwise

from atftctl.domain.run_rows import Row
from atftctl.observe.metrics.files import MetricsFile, by_series

Pieces = Iterator[list[Row]]


def joined(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows that follow each other and have the same step and generation as one, where no column has two values:
    training and validation are often written as two rows, which share an epoch."""
    kept: Row | None = None
    for row in rows:
        if kept is None:
            kept = row
        elif row[:2] == kept[:2] and _fit(kept.values, row.values):
            kept = Row(row.step, row.generation, {**kept.values, **row.values})
        else:
            yield kept
            kept = row
    if kept is not None:
        yield kept


def _fit(values: Mapping[str, float], others: Mapping[str, float]) -> bool:
    return all(others[name] == values[name] for name in others.keys() & values.keys())


def in_order(files: Sequence[MetricsFile], read: Callable[[MetricsFile], Pieces]) -> Iterator[Row]:
    """The rows of these files, which one run has written: series by series as they were written, and several series
    by their steps. read: how the rows of one file are read."""
    series = [_rows(each, read) for each in by_series(files)]
    return joined(series[0] if len(series) == 1 else merge(*series, key=lambda row: row.step))


def by_runs(series: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """The rows of several series that several runs may have written, one after the other: where the step of a series
    goes back, the next run begins. The last runs of all series are the same one."""
    runs = [_rising(rows) for rows in series]
    for back in range(max(map(len, runs), default=0), 0, -1):
        yield from joined(merge(*(each[-back] for each in runs if len(each) >= back), key=lambda row: row.step))


def _rows(files: Sequence[MetricsFile], read: Callable[[MetricsFile], Pieces]) -> Iterator[Row]:
    return chain.from_iterable(chain.from_iterable(map(read, files)))


def _rising(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows, cut where the step goes back."""
    cuts = [at for at, (row, later) in enumerate(pairwise(rows), 1) if later.step < row.step]
    return [list(rows[begin:end]) for begin, end in pairwise([0, *cuts, len(rows)])]
