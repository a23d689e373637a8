"""One-sided confidence bounds of the mean of a series whose values depend on their neighbours.

The stationary bootstrap (Politis and Romano 1994) with a block length chosen from the data (Politis and White 2004,
with the correction of Patton, Politis and White 2009), and an expansion for short series: see `expansion`. It needs
the standard library only: the ops side has no numpy.
"""

from __future__ import annotations

import cmath
import math
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import mul
from statistics import NormalDist

DRAWS = 2_000
SEED = 20240101
LEVEL = 0.95  # one-sided
NORMAL = NormalDist().inv_cdf(LEVEL)


def bounds(values: Sequence[float], horizon: int = 1) -> tuple[float, float]:
    """Return the lower and the upper one-sided 95 % bound of the mean.

    `values`: at least two finite numbers in the order of their dates. `horizon`: of the labels, in dates; values that
    are closer than this share a part of their labels. The same values give the same bounds on every machine.
    """
    count = len(values)
    mean = math.fsum(values) / count
    deviations = [value - mean for value in values]
    scale = max(map(abs, deviations))
    if max(values) == min(values) or not scale:
        return mean, mean
    deviations = [value / scale for value in deviations]
    block = block_length(deviations, horizon)
    means = sorted(resampled_means(deviations, block, DRAWS, SEED))
    reach = scale * expansion(count, block, horizon)
    lower, upper = (mean + reach * quantile(means, level) for level in (1 - LEVEL, LEVEL))
    return min(lower, mean), max(upper, mean)


def block_length(deviations: Sequence[float], horizon: int = 1) -> float:
    """Return the mean length of the blocks in dates: what the data ask for, but at least the horizon, and at most a
    third of the series or the horizon.

    The estimate from the data is often 1 where a short series depends weakly, and the bounds are then too narrow. Hence
    a floor of 1.3 √n, as Lazarus, Lewis, Stock and Watson (2018) recommend for the window of Newey and West.
    """
    count = len(deviations)
    wanted = max(automatic_block_length(deviations), 1.3 * math.sqrt(count), float(horizon))
    return min(wanted, max(count / 3, float(horizon)))


def automatic_block_length(deviations: Sequence[float]) -> float:
    """Return the block length of the stationary bootstrap by Politis and White (2004), corrected 2009.

    `deviations`: from their mean, at least eight.
    """
    count = len(deviations)
    run = max(5, int(math.log10(count)))  # so many small autocorrelations in a row end the dependence
    most = min(math.ceil(math.sqrt(count)) + run, count - 2)
    products = [math.fsum(map(mul, deviations, deviations[lag:])) for lag in range(most + 1)]
    squares = list(accumulate(map(mul, deviations, deviations), initial=0.0))
    small = 2 * math.sqrt(math.log10(count) / count)
    flags = [
        abs(product) < small * math.sqrt(squares[count - lag - 1] * (squares[-1] - squares[lag + 1]))
        for lag, product in enumerate(products)
    ]
    last = next((lag for lag in range(most - run + 1) if all(flags[lag : lag + run])), None)
    window = min(most, 2 * max(last, 1)) if last is not None else most
    slope, level = 0.0, products[0] / count
    for lag in range(1, window + 1):
        weight = 2 * min(1.0, 2 * (1 - lag / window)) * products[lag] / count
        slope += lag * weight
        level += weight
    longest = math.ceil(min(3 * math.sqrt(count), count / 3))
    if not level:
        return float(longest)
    return min(float(math.cbrt((slope / level) ** 2 * count)), float(longest))


def resampled_means(values: Sequence[float], block: float, draws: int, seed: int) -> list[float]:
    """Return the means of `draws` resampled series, each made of blocks of the series, which is closed to a circle.

    The length of a block is geometric with the mean `block`. Sums over blocks come from running sums, so that a draw
    costs as many steps as it has blocks.
    """
    count = len(values)
    sums = list(accumulate((*values, *values), initial=0.0))
    uniform = random.Random(seed).random  # noqa: S311 - a simulation that has to be repeatable
    scale, log = 1 / math.log1p(-1 / block) if block > 1 else 0.0, math.log
    means = []
    for _ in range(draws):
        total, left = 0.0, count
        while left:
            start = int(uniform() * count)
            length = min(left, 1 + int(log(1.0 - uniform()) * scale))
            total += sums[start + length] - sums[start]
            left -= length
        means.append(total / count)
    return means


def quantile(ordered: Sequence[float], level: float) -> float:
    """The quantile of sorted values, interpolated between neighbours, as numpy does it."""
    place = level * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def expansion(count: int, block: float, horizon: int) -> float:
    """Return the factor by which a percentile interval of so many dates is too narrow (compare Hesterberg 2015)."""
    share, freedom = accuracy(count, block, horizon)
    return student_quantile(freedom) / NORMAL / math.sqrt(share)


@lru_cache(maxsize=16)
def accuracy(count: int, block: float, horizon: int) -> tuple[float, float]:
    """Return how good the bootstrap's variance of the mean is where the labels of `horizon` dates overlap and nothing
    else depends: which share of the true variance it reaches on average, and its degrees of freedom.

    It is a sum over the frequencies of the series, Σ K_j S_j (Politis and Romano 1994, lemma 1), so that its mean and
    spread are known. The degrees of freedom are those of a chi-squared of the same mean and spread (Tukey 1949).
    """
    mean, spread = 0.0, 0.0
    for at in range(1, count // 2 + 1):
        part = _kernel(count, block, at) * _spectrum(count, horizon, at)
        twice = 1 if 2 * at == count else 2  # the frequencies at and count - at
        mean += twice * part
        spread += 2 * twice * part**2
    return mean / _spectrum(count, horizon, 0), 2 * mean**2 / spread


def _kernel(count: int, block: float, at: int) -> float:
    """The weight of frequency `at`/`count` in the bootstrap's variance: the sum over all lags k of
    (1 - |k|/n) (1 - 1/block)^|k| cos(2π k at/n), divided by n."""
    keep = max(1 - 1 / block, 0.0)
    z = keep * cmath.exp(2j * math.pi * at / count)
    half = 1 / (1 - z) - z * (1 - keep**count) / (count * (1 - z) ** 2)
    return (2 * half.real - 1) / count


def _spectrum(count: int, horizon: int, at: int) -> float:
    """The expected periodogram at frequency `at`/`count` of values that depend by overlapping labels only."""
    return 1 + 2 * math.fsum(
        (1 - lag / count) * (1 - lag / horizon) * math.cos(2 * math.pi * at * lag / count)
        for lag in range(1, min(horizon, count))
    )


def student_quantile(freedom: float) -> float:
    """The 95 % quantile of Student's t with this many degrees of freedom (at least one), by Newton's method.

    Above zero the distribution is concave: from below, every step comes closer and stays below.
    """
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def density(x: float) -> float:
        return constant * math.pow(1 + x * x / freedom, -(freedom + 1) / 2)

    quantile, step = NORMAL, 1.0
    while step > 1e-9:
        step = (LEVEL - 0.5 - _integral(density, quantile)) / density(quantile)
        quantile += step
    return quantile


def _integral(function: Callable[[float], float], end: float, parts: int = 100) -> float:
    """From 0 to `end`, by Simpson's rule."""
    width = end / (2 * parts)
    inner = math.fsum((4 if at % 2 else 2) * function(at * width) for at in range(1, 2 * parts))
    return (function(0.0) + inner + function(end)) * width / 3
