"""A curve in few points: each part along the steps keeps its least and its greatest value, so that spikes stay."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from atftctl.decide.detectors.middle import median
from atftctl.domain.incident import Side
from atftctl.domain.run_rows import Row

FEW = 4  # values of one part, which are then all kept
GAP = 5  # times the usual distance of two values: the curve is broken there


def side(rows: Sequence[Row], column: str, bins: int) -> Side:
    """One column of these rows, whose steps do not fall, in at most `bins` parts along the steps.

    The curve is broken at a value that is not finite, and where rows are missing.
    """
    kept = [row for row in rows if column in row.values]
    if not kept:
        return Side()
    steps, values = [row.step for row in kept], [row.values[column] for row in kept]
    bad = [at for at, value in enumerate(values) if value - value != 0]
    finite = [value for value in values if value - value == 0] if bad else values
    bounds = _bounds(steps, bins, (rows[0].step, rows[-1].step))
    return Side(
        lines=tuple(_lines(steps, values, bounds, _begins(steps, bad))),
        broken=tuple(steps[bad[at]] for at in _firsts(bad, bounds)),
        count=len(values),
        bad=len(bad),
        last=values[-1],
        median=median(finite) if finite else None,
        least=min(finite, default=None),
        greatest=max(finite, default=None),
    )


def _bounds(steps: Sequence[int], bins: int, span: tuple[int, int]) -> list[int]:
    """The number of the first value of each part that has values, and the number of values."""
    first, width = span[0], max(1, span[1] - span[0] + 1)
    edges = [bisect_left(steps, first + -(-number * width // bins)) for number in range(bins)]
    return sorted({*edges, 0, len(steps)})


def _begins(steps: Sequence[int], bad: Sequence[int]) -> list[int]:
    """The numbers of the values at which another piece of the curve begins."""
    distances = [after - before for before, after in pairwise(steps)]
    gap = GAP * median(distances) if distances else 0
    gaps = [at for at, distance in enumerate(distances, 1) if distance > gap]
    return sorted({*gaps, *bad})


def _firsts(bad: Sequence[int], bounds: Sequence[int]) -> list[int]:
    """Of the values that are not finite (`bad`), the first one of each part."""
    places = [bisect_left(bad, bound) for bound in bounds]
    return [begin for begin, end in pairwise(places) if begin < end]


def _lines(
    steps: Sequence[int], values: Sequence[float], bounds: Sequence[int], begins: Sequence[int]
) -> Iterator[tuple[tuple[int, float], ...]]:
    """The pieces of the curve."""
    drawn = [at for begin, end in pairwise(bounds) for at in _kept(values, begin, end)]
    for _, piece in groupby(drawn, key=lambda at: bisect_right(begins, at)):
        yield tuple((steps[at], values[at]) for at in piece)


def _kept(values: Sequence[float], begin: int, end: int) -> Sequence[int]:
    """The numbers of the values of a part that are drawn: of few all, of many the least and the greatest."""
    finite = range(begin, end)
    part = values[begin:end]
    if not math.isfinite(sum(part)):
        numbers = [at for at in finite if math.isfinite(values[at])]
        part = [values[at] for at in numbers]
    else:
        numbers = list(finite)
    if len(numbers) <= FEW:
        return numbers
    return sorted({numbers[part.index(min(part))], numbers[part.index(max(part))]})
