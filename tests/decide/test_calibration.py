"""The verdicts err as seldom as they claim. The short form; `make calibration` is the long one.

Each limit is 7 % plus what chance adds in so many series: the seeds are fixed, and a method that errs 7 % of the time
would pass each case with other seeds in 99.9 % of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from atftctl.decide.verdicts import bootstrap
from atftctl.domain.verdict import Verdict
from tests.calibration.rates import false_degraded, false_restored, outcomes, share, upper_error
from tests.calibration.simulated import Kind, series

SERIES = 250
SIZE = 0.07
LIMIT = SIZE + 3 * math.sqrt(SIZE * (1 - SIZE) / SERIES)
CASES = [
    (Kind(), 60),
    (Kind(0.3), 60),
    (Kind(0.3), 120),
    (Kind(heavy=True), 60),
    (Kind(horizon=5), 60),
    (Kind(horizon=20), 120),
    (Kind(0.3), 483),
]


@pytest.mark.parametrize(("kind", "count"), CASES, ids=str)
def test_the_verdicts_have_their_size(kind: Kind, count: int) -> None:
    found = outcomes((series(kind, count, seed) for seed in range(SERIES)), kind.horizon)
    assert false_restored(found) <= LIMIT
    assert false_degraded(found) <= LIMIT and upper_error(found) <= LIMIT


def test_the_verdicts_have_power() -> None:
    found = outcomes(series(Kind(0.1), 483, seed) for seed in range(SERIES))
    assert share(found, 0.0, Verdict.PASS) > 0.95
    assert share(found, -0.04, Verdict.FAIL) > 0.9


def percentile(values: Sequence[float], horizon: int, block: float = 1.0) -> tuple[float, float]:
    """The plain percentile interval, of single values or of blocks."""
    mean = sum(values) / len(values)
    means = sorted(bootstrap.resampled_means([value - mean for value in values], block, bootstrap.DRAWS, 1))
    return mean + means[len(means) // 20], mean + means[-len(means) // 20]


@pytest.mark.parametrize(
    ("kind", "count", "block"),
    [(Kind(0.3), 483, 1.0), (Kind(horizon=5), 120, 1.0), (Kind(horizon=20), 120, 20.0)],
    ids=["single values", "single values, overlapping labels", "blocks without the expansion"],
)
def test_a_wrong_method_is_noticed(kind: Kind, count: int, block: float) -> None:
    """The limit can fail: what is simpler than the method does not keep its level."""
    found = outcomes(
        (series(kind, count, seed) for seed in range(SERIES)),
        kind.horizon,
        lambda values, horizon: percentile(values, horizon, block),
    )
    assert false_restored(found) > LIMIT
