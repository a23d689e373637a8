"""Bounds of the mean of a run's evaluations. Neighbours depend on each other: the model changes little in between.

How much can hardly be estimated from five or ten values, and bounds that take the estimate as it is, or the values as
independent, err several times as often as they say. The estimate is corrected for its bias (Kendall 1954), and is at
least `LEAST`: the bounds are too wide for evaluations that are independent, which costs evaluations, not a false pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

LEAST, MOST = 0.6, 0.95  # correlation of neighbours that is assumed
LEAST_SPREAD = 0.1  # part of the variance that a short series shows at least


def widened(bounds: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """Bounds of the mean of these values, in their order, from those for independent values."""
    mean, factor = math.fsum(values) / len(values), _factor(values)
    return mean - factor * (mean - bounds[0]), mean + factor * (bounds[1] - mean)


def _factor(values: Sequence[float]) -> float:
    """By how much the standard error of the mean is larger than that of as many independent values, with what the
    spread of a short series is too small by."""
    count, correlation = len(values), _correlation(values)
    inflation = 1 + 2 * math.fsum((1 - lag / count) * correlation**lag for lag in range(1, count))
    seen = max((count - inflation) / (count - 1), LEAST_SPREAD)
    return math.sqrt(inflation / seen)


def _correlation(values: Sequence[float]) -> float:
    """Of neighbours."""
    count, mean = len(values), math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    spread = math.fsum(deviation * deviation for deviation in deviations)
    if not spread:
        return LEAST
    measured = math.fsum(map(math.prod, pairwise(deviations))) / spread
    return min(max(measured + (1 + 3 * max(measured, 0.0)) / count, LEAST), MOST)
