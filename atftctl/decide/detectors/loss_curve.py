"""Make the smoothed loss curve of a run, in one pass and with the same memory for a thousand rows and a million; and
read it again from the record of a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from atftctl.decide.detectors.slow import ROWS, Curve

WIDTH = 10  # rows of one mean, at first
MOST = 512  # means; then each two become one
LEAST = 200  # rows that a curve needs


class Mean(NamedTuple):
    """Rows that follow each other: how many, the sums of their steps, their values, and the squares of these."""

    rows: int = 0
    steps: int = 0
    total: float = 0.0
    squares: float = 0.0

    def and_(self, other: Mean) -> Mean:
        """The rows of both."""
        return Mean(
            self.rows + other.rows, self.steps + other.steps, self.total + other.total, self.squares + other.squares
        )


class CurveMaker:
    """Takes the rows of one run, the steps rising."""

    def __init__(self) -> None:
        self.rows = 0
        self.first = self.last = -1
        self._means: list[Mean] = []
        self._open = Mean()
        self._width = WIDTH

    def take(self, step: int, value: float) -> None:
        """One more row. A value that is not finite is left out, and a step that is not after the last one."""
        if not math.isfinite(value) or step <= self.last:
            return
        self.first, self.last, self.rows = (step if self.first < 0 else self.first), step, self.rows + 1
        self._open = self._open.and_(Mean(1, step, value, value * value))
        if self._open.rows < self._width:
            return
        self._means.append(self._open)
        self._open = Mean()
        if len(self._means) >= MOST:
            self._means = list(_in_pairs(self._means))
            self._width *= 2

    def curve(self) -> Curve:
        """The curve of all rows so far; empty where they are too few. Each value is the mean over the 200 rows around
        its step, or over one part where that has more."""
        if self.rows < LEAST:
            return Curve()
        means = [*self._means, *([self._open] if self._open.rows else [])]
        reach = max(0, round(ROWS / self._width) // 2)
        spread = [_together(means[max(0, at - reach) : at + reach + 1]) for at in range(len(means))]
        steps = [round(mean.steps / mean.rows) for mean in means]
        kept = [at for at in range(len(steps)) if at == 0 or steps[at] > steps[at - 1]]
        # The curve goes from the first row to the last one.
        places = [self.first if at == 0 else self.last if at == kept[-1] else steps[at] for at in kept]
        values = [spread[at].total / spread[at].rows for at in kept]
        return Curve(tuple(places), tuple(values), self._noise(means))

    def _noise(self, means: Sequence[Mean]) -> float:
        """The standard error of a value: of the rows within each mean, where the level hardly changes."""
        freedom = sum(mean.rows - 1 for mean in means)
        inner = sum(max(0.0, mean.squares - mean.total**2 / mean.rows) for mean in means)
        return math.sqrt(inner / max(1, freedom) / max(ROWS, self._width))


def _in_pairs(means: Sequence[Mean]) -> Iterator[Mean]:
    for at in range(0, len(means), 2):
        yield _together(means[at : at + 2])


def _together(means: Sequence[Mean]) -> Mean:
    whole = Mean()
    for mean in means:
        whole = whole.and_(mean)
    return whole


def curve_of(record: Mapping[str, Any]) -> Curve:
    """The curve in the record of a baseline. Raises ValueError where it holds none that can be."""
    steps, values, noise = record.get("steps"), record.get("values"), record.get("noise")
    if type(record.get("column")) is not str or type(record.get("rows")) is not int:
        raise ValueError("no curve")
    if not isinstance(steps, list) or not isinstance(values, list) or not 2 <= len(steps) == len(values):
        raise ValueError("no curve")
    rising = all(type(step) is int for step in steps) and all(map(int.__lt__, steps, steps[1:]))
    numbers = [*values, noise]
    if not rising or not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        raise ValueError("the curve has a value that can't be")
    return Curve(tuple(steps), tuple(map(float, values)), float(noise or 0.0))
