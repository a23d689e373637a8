"""The verdicts err as seldom as they claim. The short form; `make calibration` is the long one.

The limit is 7 % plus three standard errors of a share in so many series, so that other seeds would do as well. It is
low enough for a wrong method to fail: see the last test.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest

from atftctl.decide.verdicts import bootstrap
from atftctl.domain.verdict import Verdict
from tests.calibration import real
from tests.calibration.rates import Bounds, false_degraded, false_restored, outcomes, share, upper_error
from tests.calibration.simulated import Kind, series
from tests.support.projects import SHARED_DATA
from tests.support.today import some

SERIES = 200
SIZE = 0.07
LIMIT = SIZE + 3 * math.sqrt(SIZE * (1 - SIZE) / SERIES)
CASES = [(Kind(0.3), 60), (Kind(0.5), 250), (Kind(horizon=5), 60), (Kind(horizon=20), 120)]


@pytest.mark.parametrize(("kind", "count"), some(CASES, 2), ids=str)
def test_the_verdicts_have_their_size(kind: Kind, count: int) -> None:
    found = outcomes((series(kind, count, seed) for seed in range(SERIES)), kind.horizon)
    assert false_restored(found) <= LIMIT
    assert false_degraded(found) <= LIMIT and upper_error(found) <= LIMIT


def test_the_verdicts_have_power() -> None:
    found = outcomes(series(Kind(), 250, seed) for seed in range(SERIES // 2))
    assert share(found, 0.0, Verdict.PASS) > 0.9
    assert share(found, -0.04, Verdict.FAIL) > 0.9


def test_the_verdicts_have_their_size_on_real_prices() -> None:
    """RankIC of the return of five days, of a model with noise on its weights, in pieces of the series of ten years."""
    pytest.importorskip("numpy")
    pytest.importorskip("pyarrow")
    if not SHARED_DATA.exists():
        pytest.skip(f"no real prices: {SHARED_DATA} is missing")
    values = real.differences(real.market(SHARED_DATA, stocks=150), 5)["noise on the weights"]
    assert statistics.correlation(values[1:], values[:-1]) > 0.3, "labels that overlap"
    found = outcomes(real.resampled(values, 60, 5, 1, SERIES), 5)
    assert false_restored(found) <= LIMIT and false_degraded(found) <= LIMIT
    assert false_restored(outcomes(real.resampled(values, 60, 5, 1, SERIES), 5, single_values)) > LIMIT


def single_values(values: Sequence[float], _horizon: int) -> tuple[float, float]:
    """The interval that a bootstrap of single values comes to: it takes dates for independent."""
    reach = bootstrap.NORMAL * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - reach, statistics.fmean(values) + reach


def blocks_alone(values: Sequence[float], horizon: int) -> tuple[float, float]:
    """The plain percentile interval of blocks as long as the horizon."""
    middle = statistics.fmean(values)
    means = sorted(bootstrap.resampled_means([value - middle for value in values], horizon, bootstrap.DRAWS, 1))
    return middle + means[len(means) // 20], middle + means[-len(means) // 20]


@pytest.mark.parametrize(
    ("method", "kind", "count"),
    [
        (single_values, Kind(0.5), 250),
        (single_values, Kind(horizon=5), 60),
        (blocks_alone, Kind(horizon=20), 120),
    ],
)
def test_a_simpler_method_fails_these_tests(method: Bounds, kind: Kind, count: int) -> None:
    found = outcomes((series(kind, count, seed) for seed in range(SERIES)), kind.horizon, method)
    assert false_restored(found) > LIMIT
