"""Does a series rise? Mann-Kendall's test with the correction of Hamed and Rao (1998) for values that depend on those
before, and Theil-Sen's slope with its lower bound. Plain Mann-Kendall calls a random walk a trend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from atftctl.decide.detectors.middle import median

Z99 = 2.3263478740408408  # one-sided 99 % quantile of the normal distribution
Z95_TWO_SIDED = 1.959963984540054


class Trend(NamedTuple):
    """`z`: of Mann-Kendall's S, corrected. `slope`: of Theil and Sen, per value; `lower`: its one-sided 99 % bound."""

    z: float
    slope: float
    lower: float

    @property
    def rises(self) -> bool:
        """Is it sure that the series rises (p < 0.01)?"""
        return self.z > Z99 and self.lower > 0


def trend(values: Sequence[float]) -> Trend:
    """The trend of at least three values."""
    size = len(values)
    slopes = sorted((values[j] - values[i]) / (j - i) for i in range(size - 1) for j in range(i + 1, size))
    slope = median(slopes)
    signs = sum((difference > 0) - (difference < 0) for difference in slopes)
    deviation = math.sqrt(_variance(values) * correction([value - slope * at for at, value in enumerate(values)]))
    z = (signs - (signs > 0) + (signs < 0)) / deviation if deviation else 0.0
    at = math.floor((len(slopes) - Z99 * deviation) / 2)
    return Trend(z, slope, slopes[at] if at >= 0 else -math.inf)


def _variance(values: Sequence[float]) -> float:
    """Of Mann-Kendall's S where the values are independent, with ties."""
    size = len(values)
    ties = _group_sizes(sorted(values))
    return float(size * (size - 1) * (2 * size + 5) - sum(tie * (tie - 1) * (2 * tie + 5) for tie in ties)) / 18


def _group_sizes(ordered: Sequence[float]) -> list[int]:
    breaks = [0, *(at for at, (left, right) in enumerate(pairwise(ordered), 1) if left != right), len(ordered)]
    return [end - begin for begin, end in pairwise(breaks)]


def correction(detrended: Sequence[float]) -> float:
    """By what the variance of S grows because near values are alike: from the significant autocorrelations of the
    ranks. Never below 1: a series that alternates must not look surer."""
    ranks = _ranks(detrended)
    size = len(ranks)
    mean = sum(ranks) / size
    centred = [rank - mean for rank in ranks]
    total = sum(item * item for item in centred)
    if size < 4 or not total:
        return 1.0
    significant, summed = Z95_TWO_SIDED / math.sqrt(size), 0.0
    for lag in range(1, size - 1):
        rho = sum(map(_product, centred, centred[lag:])) / total
        if abs(rho) > significant:
            summed += (size - lag) * (size - lag - 1) * (size - lag - 2) * rho
    return max(1.0, 1 + 2 * summed / (size * (size - 1) * (size - 2)))


def _product(left: float, right: float) -> float:
    return left * right


def _ranks(values: Sequence[float]) -> list[float]:
    """The ranks from 1 on; equal values share the mean of theirs."""
    ordered = sorted(values)
    sizes = _group_sizes(ordered)
    begins = accumulate(sizes, initial=0)
    rank = {ordered[begin]: begin + (size + 1) / 2 for begin, size in zip(begins, sizes, strict=False)}
    return [rank[value] for value in values]
