"""One-sided confidence bounds of the mean of values that do not depend on each other, and of the difference of two such
means.

The bounds of one mean are those of the percentile bootstrap (Efron and Tibshirani 1993), expanded by Student's quantile
(Hesterberg 2015). Those of a difference of two samples that are not paired are put together from the bounds of either
mean, squared and added (Zou and Donner 2008, "MOVER"), so that the skewness of either sample stays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from atftctl.decide.verdicts.bootstrap import DRAWS, LEVEL, SEED, expansion, quantile

MOST = 1000  # values that are drawn from; of more, the means of so many groups, which are as independent
Bounds = tuple[float, float]


def bounds(values: Sequence[float]) -> Bounds:
    """Return the lower and the upper one-sided 95 % bound of the mean of at least two finite numbers. The same values
    in the same order give the same bounds on every machine."""
    mean = math.fsum(values) / len(values)
    if min(values) == max(values):
        return mean, mean
    groups = _groups(values)
    count = len(groups)
    middle = math.fsum(groups) / count
    deviations = [value - middle for value in groups]
    scale = max(map(abs, deviations))
    if not scale:
        return mean, mean
    choices = random.Random(SEED).choices  # noqa: S311 - a simulation that has to be repeatable
    deviations = [value / scale for value in deviations]
    means = sorted(sum(choices(deviations, k=count)) / count for _ in range(DRAWS))
    reach = scale * expansion(count, 1.0, 1)
    lower, upper = (mean + reach * quantile(means, level) for level in (1 - LEVEL, LEVEL))
    return min(lower, mean), max(upper, mean)


def _groups(values: Sequence[float]) -> list[float]:
    """The values; of very many, the means of `MOST` groups, made by chance."""
    if len(values) <= 2 * MOST:
        return [*values]
    mixed = [*values]
    random.Random(SEED).shuffle(mixed)  # noqa: S311 - as above
    groups = [mixed[at::MOST] for at in range(MOST)]
    return [math.fsum(group) / len(group) for group in groups]


def with_rare(differences: Sequence[float], values: Sequence[float]) -> list[float]:
    """Paired differences of a measure that has two values only, such as right and wrong: with one pair more that is
    better, and one that is worse. Where nearly all pairs are equal, a bootstrap takes what it has not seen for
    impossible (compare Agresti and Min 2005). `values`: of both sides."""
    reach = _two_valued(values)
    return [*differences, reach, -reach] if reach else [*differences]


def with_both(sample: Sequence[float], values: Sequence[float]) -> list[float]:
    """A sample of a measure that has two values only: with each of them once more (Agresti and Caffo 2000). `values`:
    of both samples."""
    return [*sample, min(values), max(values)] if _two_valued(values) else [*sample]


def _two_valued(values: Sequence[float]) -> float:
    """The distance between the two values that there are; 0 where there are more, or one."""
    different = set(values)
    return max(different) - min(different) if len(different) == 2 else 0.0


def of_difference(now: float, now_bounds: Bounds, before: float, before_bounds: Bounds) -> Bounds:
    """Return the bounds of `now` minus `before`, two means of independent samples with these bounds."""
    lower = math.hypot(now - now_bounds[0], before_bounds[1] - before)
    upper = math.hypot(now_bounds[1] - now, before - before_bounds[0])
    return now - before - lower, now - before + upper
