"""Bounds of the mean of a run's evaluations. Neighbours depend on each other: the model changes little in between.

How much can hardly be estimated from five or ten values, and bounds that take the estimate as it is, or the values as
independent, err several times as often as they say. The estimate is corrected for its bias (Kendall, Biometrika 41,
1954), and is at least `LEAST`: the bounds are too wide for evaluations that are independent, which costs evaluations,
not a false pass.

The mean of n such values is as sure as that of n / inflation independent ones (Bayley and Hammersley, Supplement to the
JRSS 8, 1946), and Student's quantile is that of so many values, not of n: the spread and the correlation are known no
better than that (Zwiers and von Storch, Journal of Climate 8, 1995). How often that errs was measured:
docs/explanation/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from atftctl.decide.verdicts.bootstrap import student_quantile

LEAST, MOST = 0.5, 0.95  # correlation of neighbours that is assumed
LEAST_FREEDOM = 1.0  # degrees of freedom; below, Student's distribution has no mean
LEAST_SPREAD = 0.1  # part of the variance that a short series shows at least


def widened(bounds: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """Bounds of the mean of these values, in their order, from those for independent values."""
    mean, factor = math.fsum(values) / len(values), _factor(values)
    return mean - factor * (mean - bounds[0]), mean + factor * (bounds[1] - mean)


def _factor(values: Sequence[float]) -> float:
    """By how much bounds for as many independent values are too narrow: the standard error of the mean is larger, the
    spread of a short series is too small, and both are known less well."""
    count, correlation = len(values), _correlation(values)
    inflation = 1 + 2 * math.fsum((1 - lag / count) * correlation**lag for lag in range(1, count))
    seen = max((count - inflation) / (count - 1), LEAST_SPREAD)
    freedom = max(count / inflation - 1, LEAST_FREEDOM)
    less_sure = student_quantile(freedom) / student_quantile(count - 1)
    return math.sqrt(inflation / seen) * less_sure


def _correlation(values: Sequence[float]) -> float:
    """Of neighbours."""
    count, mean = len(values), math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    spread = math.fsum(deviation * deviation for deviation in deviations)
    if not spread:
        return LEAST
    measured = math.fsum(map(math.prod, pairwise(deviations))) / spread
    return min(max(measured + (1 + 3 * max(measured, 0.0)) / count, LEAST), MOST)
