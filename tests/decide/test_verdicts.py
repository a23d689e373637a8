"""Three-valued verdicts: no data is never a pass, and the paired comparison has the size that it claims."""

from __future__ import annotations

import math

import pytest

from atftctl.decide.verdicts import checklist
from atftctl.decide.verdicts.rankic import compare, dates_needed, interval, judge
from atftctl.domain.facts import Process
from atftctl.domain.runbook import Checks, Metrics
from atftctl.domain.verdict import Check, Verdict, overall

np = pytest.importorskip("numpy")
pytest.importorskip("arch")
PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def series(values: object) -> dict[str, float]:
    return {f"2020-{index:05d}": float(value) for index, value in enumerate(values)}  # type: ignore[arg-type]


def test_overall_is_never_a_pass_without_data() -> None:
    assert overall([]) is OPEN
    assert overall([Check("a", PASS, ""), Check("b", OPEN, "")]) is OPEN
    assert overall([Check("a", OPEN, ""), Check("b", FAIL, "")]) is FAIL
    assert overall([Check("a", PASS, "")]) is PASS


def test_too_few_dates_and_nan_are_inconclusive() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.15, 59)
    assert compare(series(values), series(values), margin=0.02, min_dates=60, horizon=1).verdict is OPEN
    broken = rng.normal(0, 0.15, 80)
    broken[10:40] = math.nan
    assert compare(series(broken), series(broken), margin=0.02, min_dates=60, horizon=1).verdict is OPEN
    assert compare({}, {}, margin=0.02, min_dates=60, horizon=1).verdict is OPEN


def test_an_unchanged_level_passes_and_a_lost_one_fails() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(0.03, 0.15, 250)
    close = before + rng.normal(0, 0.03, 250)
    assert compare(series(close), series(before), margin=0.02, min_dates=60, horizon=1).verdict is PASS
    lost = before - 0.05 + rng.normal(0, 0.03, 250)
    assert compare(series(lost), series(before), margin=0.02, min_dates=60, horizon=1).verdict is FAIL


def test_a_noisy_comparison_says_how_many_dates_would_settle_it() -> None:
    rng = np.random.default_rng(2)
    found = compare(
        series(rng.normal(0.02, 0.15, 80)), series(rng.normal(0.02, 0.15, 80)), margin=0.02, min_dates=60, horizon=1
    )
    assert found.verdict is OPEN and "a verdict needs about" in found.detail


def test_the_interval_has_its_size() -> None:
    """One-sided 95 %: on true differences of zero the lower bound lies above zero in about 5 % of the draws."""
    rng = np.random.default_rng(3)
    above = sum(interval(list(rng.normal(0, 0.1, 120)), 1)[0] > 0 for _ in range(200))  # type: ignore[index]
    assert 2 <= above <= 24, above


@pytest.mark.parametrize(
    ("mean", "lower", "upper", "verdict"),
    [
        (0.0, -0.019, 0.02, PASS),
        (0.0, -0.021, 0.02, OPEN),
        (-0.03, -0.05, -0.01, FAIL),
        (-0.01, -0.03, -0.001, OPEN),
        (-0.03, -0.08, 0.001, OPEN),
    ],
)
def test_judge(mean: float, lower: float, upper: float, verdict: Verdict) -> None:
    assert judge(mean, lower, upper, 0.02) is verdict


def test_more_dates_are_needed_the_closer_the_mean_is_to_the_margin() -> None:
    assert dates_needed(-0.01, -0.04, 0.02, 100) > dates_needed(0.0, -0.03, 0.02, 100) > 100


def test_nothing_measured_is_inconclusive_everywhere() -> None:
    found = checklist.checklist({}, None, Process(), Checks(), "d", Metrics())
    assert len(found) == 8 and all(check.verdict is OPEN for check in found)


def test_a_probe_that_failed_fails_its_check() -> None:
    broken = {name: {"error": "no"} for name in ("model", "dataset", "training", "quality", "steps")}
    made = checklist.checklist(broken, None, Process(), Checks(), "d", Metrics())
    assert [check.name for check in made if check.verdict is FAIL] == [
        "model", "dataset", "training", "quality", "memory", "step-time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "norm", "verdict"), [(1.0, 2.0, PASS), (1.0, 5.1, FAIL), ("nan", 1.0, FAIL), (1.0, "inf", FAIL)]
)
def test_training(loss: object, norm: object, verdict: Verdict) -> None:
    assert (
        checklist.training("training can start", {"loss": loss, "grad_norm": norm, "steps": 3}, Checks()).verdict
        is verdict
    )


@pytest.mark.parametrize(
    ("ratio", "lower", "verdict"), [(1.1, 1.0, PASS), (1.3, 1.25, FAIL), (1.25, 1.1, OPEN), (math.nan, math.nan, OPEN)]
)
def test_costs(ratio: float, lower: float, verdict: Verdict) -> None:
    part = {"memory_mb": 100.0, "memory_mb_ratio": ratio, "memory_mb_ratio_lower": lower}
    assert checklist.ratio("memory", part, "memory_mb", "MB", 1.2, {}).verdict is verdict


def test_rankic_is_not_compared_with_another_measurement() -> None:
    part = {"identity": {"panel": "a"}, "by_date": {}, "weights": "w", "predictions": "p"}
    other = {"rankic": {**part, "identity": {"panel": "b"}}}
    assert checklist.quality("RankIC@1d", part, other, Checks()).verdict is OPEN
    same = checklist.quality("RankIC@1d", part, {"rankic": part}, Checks())
    assert same.verdict is PASS and "bit-identical" in same.detail


def test_the_service_must_run_what_the_files_say() -> None:
    running = Process(state="running", pid=1, digest="d")
    moving = {"steps": 3, "seconds": 1.0}
    assert checklist.service(running, moving, "d").verdict is PASS
    assert checklist.service(running, moving, "other").verdict is FAIL
    assert checklist.service(running, {"steps": 0, "seconds": 10.0}, "d").verdict is OPEN
    assert checklist.service(Process(state="died"), None, "d").verdict is FAIL
    assert checklist.service(Process(state="stopped"), None, "d").verdict is OPEN
