"""The bootstrap against its formulas, against `arch` and scipy where they are installed, and against the clock."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time

import pytest

from atftctl.decide.verdicts import bootstrap
from tests.calibration.simulated import SPREAD, Kind, series

KINDS = [Kind(), Kind(0.3), Kind(0.9), Kind(-0.5), Kind(horizon=5), Kind(horizon=20), Kind(heavy=True)]


def centred(values: list[float]) -> list[float]:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("count", [30, 61, 250, 483])
def test_the_block_length_is_that_of_arch(kind: Kind, count: int) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    numpy = pytest.importorskip("numpy")
    for seed in range(5):
        values = series(kind, count, seed)
        theirs = float(arch.optimal_block_length(numpy.asarray(values))["stationary"].iloc[0])
        assert bootstrap.automatic_block_length(centred(values)) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(("kind", "block"), [(Kind(), 1.0), (Kind(0.5), 6.5), (Kind(horizon=20), 40.0)], ids=str)
def test_the_quantiles_are_those_of_arch(kind: Kind, block: float) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    numpy = pytest.importorskip("numpy")
    values = series(kind, 200, 1)
    theirs = arch.StationaryBootstrap(block, numpy.asarray(values), seed=1).apply(numpy.mean, 8_000).ravel()
    ours = numpy.asarray(bootstrap.resampled_means(values, block, 8_000, seed=2))
    for level in (0.05, 0.5, 0.95):  # the standard error of these quantiles is at most 0.024 standard deviations
        assert abs(numpy.quantile(ours, level) - numpy.quantile(theirs, level)) < 0.12 * theirs.std()


def formula(values: list[float], block: float) -> float:
    """The variance of the mean of a draw, given the series (Politis and Romano 1994, lemma 1)."""
    count, keep = len(values), 1 - 1 / block
    around = [math.fsum(values[at] * values[at - lag] for at in range(count)) / count for lag in range(count)]
    return (around[0] + 2 * sum((1 - lag / count) * keep**lag * around[lag] for lag in range(1, count))) / count


@pytest.mark.parametrize("block", [1.0, 5.0, 30.0, 1000.0])
def test_the_draws_have_the_variance_of_the_formula(block: float) -> None:
    values = centred(series(Kind(0.4), 90, 3))
    exact = formula(values, block)
    draws = bootstrap.resampled_means(values, block, 20_000, seed=4)
    assert statistics.fmean(draws) == pytest.approx(0, abs=4 * math.sqrt(exact / 20_000))
    assert statistics.pvariance(draws) == pytest.approx(exact, rel=0.06)


@pytest.mark.parametrize(("count", "block"), [(20, 4.5), (61, 7.8), (250, 40.0)])
def test_the_kernel_is_the_transform_of_the_weights(count: int, block: float) -> None:
    weights = [(1 - lag / count) * (1 - 1 / block) ** lag for lag in range(count)]
    for at in (1, 2, count // 2):
        cosines = [math.cos(2 * math.pi * at * lag / count) for lag in range(count)]
        direct = 2 * math.fsum(a * b for a, b in zip(weights, cosines, strict=True)) - 1
        assert bootstrap._kernel(count, block, at) == pytest.approx(direct / count, rel=1e-9)


@pytest.mark.parametrize(("horizon", "block"), [(1, 10.1), (5, 10.1), (20, 20.0)])
def test_share_and_freedom_are_those_of_the_bootstrap(horizon: int, block: float) -> None:
    """Over many series whose dependence is known, the bootstrap's variance has this mean and this spread."""
    count, kind = 60, Kind(horizon=horizon)
    variances = [formula(centred(series(kind, count, seed)), block) for seed in range(400)]
    true = SPREAD**2 * bootstrap._spectrum(count, horizon, 0) / count
    share, freedom = bootstrap.accuracy(count, block, horizon)
    mean = statistics.fmean(variances)
    assert mean / true == pytest.approx(share, rel=0.12)
    assert 2 * mean**2 / statistics.pvariance(variances) == pytest.approx(freedom, rel=0.3)


def test_student_against_tables() -> None:
    table = {2: 2.919986, 3: 2.353363, 5: 2.015048, 10: 1.812461, 30: 1.697261, 120: 1.657651}
    for freedom, quantile in table.items():
        assert bootstrap.student_quantile(freedom) == pytest.approx(quantile, abs=2e-6)
    assert bootstrap.student_quantile(1e6) == pytest.approx(1.644854, abs=1e-5)


def test_student_between_whole_numbers() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (2.0, 2.3, 4.7, 15.5, 333.3):
        assert bootstrap.student_quantile(freedom) == pytest.approx(float(stats.t.ppf(0.95, freedom)), abs=1e-7)


def test_the_same_values_give_the_same_bounds_everywhere() -> None:
    lower, upper = bootstrap.bounds([math.sin(at * at) / 10 for at in range(100)])
    assert (lower, upper) == (pytest.approx(0.0, abs=1), pytest.approx(0.0, abs=1))


def test_bounds_move_with_the_series() -> None:
    values = series(Kind(0.2), 120, 5)
    lower, upper = bootstrap.bounds(values)
    moved = bootstrap.bounds([value - 0.02 for value in values])
    assert moved == (pytest.approx(lower - 0.02, abs=1e-12), pytest.approx(upper - 0.02, abs=1e-12))
    mirrored = bootstrap.bounds([-value for value in values])
    assert mirrored == (pytest.approx(-upper, abs=2e-3), pytest.approx(-lower, abs=2e-3))


@pytest.mark.parametrize("values", [[0.1] * 60, [0.0] * 60, [1e-300] * 60], ids=str)
def test_no_spread_no_interval(values: list[float]) -> None:
    assert bootstrap.bounds(values) == (pytest.approx(values[0]), pytest.approx(values[0]))


@pytest.mark.parametrize(
    "values",
    [
        [1.0, -1.0] + [0.0] * 58,  # the sums of squares behind the first values are zero
        [0.0] * 59 + [1.0],
        [1.0, -1.0] * 30,  # no variance at frequency zero
        [1e-200 * (at % 3) for at in range(60)],
        [1e90 * (at % 3) for at in range(60)],
        [float(at) for at in range(60)],  # a trend
        [0.0, 1.0],
    ],
    ids=["two at first", "one at last", "alternating", "tiny", "huge", "trend", "two dates"],
)
@pytest.mark.parametrize("horizon", [1, 5, 20, 500])
def test_odd_series_have_finite_bounds_around_the_mean(values: list[float], horizon: int) -> None:
    lower, upper = bootstrap.bounds(values, horizon)
    mean = math.fsum(values) / len(values)
    assert math.isfinite(lower) and math.isfinite(upper) and lower <= mean <= upper


def test_blocks_are_at_least_as_long_as_the_horizon() -> None:
    for horizon in (1, 5, 20):
        for count in (60, 120, 483):
            assert bootstrap.block_length(centred(series(Kind(), count, 1)), horizon) >= horizon


def test_it_is_fast_enough() -> None:
    values = series(Kind(0.3), 500, 1)
    begun = time.process_time()
    bootstrap.bounds(values)
    assert time.process_time() - begun < 15


def test_it_needs_nothing_but_the_standard_library() -> None:
    script = (
        "import sys; from atftctl.decide.verdicts.paired import compare; "
        "days = {f'2020-{at:04}': at % 7 / 50 for at in range(100)}; "
        "print(compare(days, days | {'2020-0003': 0.5}, title='m', better='higher', margin=0.02, min_pairs=60).verdict); "
        "assert not {'numpy', 'arch', 'scipy', 'pandas'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "Verdict.PASS\n"
