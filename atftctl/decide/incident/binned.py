"""A curve in few points: each part along the steps keeps its least and its greatest value, so that spikes stay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from statistics import median

from atftctl.domain.incident import Side
from atftctl.domain.run_rows import Row

FEW = 4  # values of one part, which are then all kept
GAP = 5  # times the usual distance of two values: the curve is broken there
Point = tuple[int, float, int]  # step, value, number of the piece of the curve that it is on


def side(rows: Sequence[Row], column: str, bins: int) -> Side:
    """One column of these rows, whose steps do not fall, in at most `bins` parts along the steps.

    The curve is broken at a value that is not finite, and where rows are missing.
    """
    values = [(row.step, row.values[column]) for row in rows if column in row.values]
    if not values:
        return Side()
    finite = [value for _, value in values if math.isfinite(value)]
    parts = list(_parts(list(_points(values)), bins, (rows[0].step, rows[-1].step)))
    return Side(
        lines=tuple(_lines(parts)),
        broken=tuple(step for part in parts for step in _broken(part)),
        count=len(values),
        bad=len(values) - len(finite),
        last=values[-1][1],
        median=median(finite) if finite else None,
        least=min(finite, default=None),
        greatest=max(finite, default=None),
    )


def _points(values: Sequence[tuple[int, float]]) -> Iterator[Point]:
    """The values, with the pieces of the curve."""
    gap = GAP * median(after[0] - before[0] for before, after in pairwise(values)) if values[1:] else 0
    piece, last = 0, values[0][0]
    for step, value in values:
        if step - last > gap or value - value != 0:  # not finite
            piece += 1
        yield step, value, piece
        last = step


def _parts(points: Sequence[Point], bins: int, span: tuple[int, int]) -> Iterator[list[Point]]:
    """The points of each part along the steps, in order; a part without points is left out."""
    first, width = span[0], max(1, span[1] - span[0] + 1)
    for _, part in groupby(points, key=lambda point: (point[0] - first) * bins // width):
        yield list(part)


def _broken(part: Sequence[Point]) -> list[int]:
    """The step of the first value of a part that is not finite."""
    return [step for step, value, _ in part if not math.isfinite(value)][:1]


def _lines(parts: Sequence[Sequence[Point]]) -> Iterator[tuple[tuple[int, float], ...]]:
    """The pieces of the curve."""
    drawn = [point for part in parts for point in _kept(part)]
    for _, piece in groupby(drawn, key=itemgetter(2)):
        yield tuple((step, value) for step, value, _ in piece)


def _kept(part: Sequence[Point]) -> Sequence[Point]:
    """The points of a part that are drawn: of few all, of many the least and the greatest, in their order."""
    finite = [point for point in part if math.isfinite(point[1])]
    if len(finite) <= FEW:
        return finite
    return sorted({min(finite, key=itemgetter(1)), max(finite, key=itemgetter(1))})
