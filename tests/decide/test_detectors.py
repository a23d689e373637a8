"""Detectors on generated series: how late they are, how often they are wrong, and that they restart exactly."""

from __future__ import annotations

import json
import math
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atftctl.decide.detectors import bank, codec, hang, leak, slow, step_time, threshold
from atftctl.decide.detectors.trend import correction, trend
from atftctl.domain.detector_rules import DetectorRule
from atftctl.domain.run_rows import Row
from tests.support.series import RULES, alarms, healthy, with_fault

SEEDS = range(8)
HEALTHY_STEPS = int(os.environ.get("ATFTCTL_HEALTHY_STEPS", "100000"))
DELAYS = {
    "nan": ("non-finite", 1),
    "infinite-norm": ("non-finite", 20),
    "times-1.1": ("explosion", 20),
    "plus-50": ("drift", 25),
    "leak": ("leak", 400),
    "slower-steps": ("step-time", 100),
}


@pytest.mark.parametrize("kind", DELAYS)
def test_a_fault_is_seen_in_time(kind: str) -> None:
    detector, limit = DELAYS[kind]
    for seed in SEEDS:
        begin = 1 if kind == "leak" else 500
        _, findings = alarms(with_fault(kind, begin, begin + limit - 1, seed))
        seen = [finding.step - begin + 1 for finding in findings if finding.detector == detector]
        assert seen and 0 < seen[0] <= limit, (seed, findings)


def test_healthy_steps_raise_no_alarm() -> None:
    """Runs of 10,000 steps. A spike is no alarm."""
    runs = max(1, HEALTHY_STEPS // 10_000)
    wrong = [
        (seed, finding)
        for seed in range(runs)
        for finding in alarms(healthy(10_000, 1000 + seed))[1]
        if finding.detector != "spike"
    ]
    assert not wrong


def test_a_single_spike_is_a_spike_only() -> None:
    for seed in SEEDS:
        state, findings = alarms(with_fault("spike", 500, 600, seed))
        assert {finding.detector for finding in findings} == {"spike"} and not bank.active(RULES, state)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([*DELAYS, "spike"]),
    st.integers(0, 1000),
    st.lists(st.integers(0, 700), max_size=4, unique=True),
)
def test_a_state_that_was_written_as_json_goes_on_exactly(kind: str, seed: int, cuts: list[int]) -> None:
    rules = bank.Rules("loss", "norm", "memory", "seconds", 5.0, {"own": DetectorRule("loss", above=1.5, rows=3)})
    rows = list(with_fault(kind, 300, 700, seed))
    end, whole = alarms(rows, rules)
    state, findings, begin = bank.State(), [], 0
    for cut in [*sorted(cuts), len(rows)]:
        state, more = alarms(rows[begin:cut], rules, state)
        findings, begin = findings + more, cut
        state = codec.from_json(bank.State, json.loads(json.dumps(codec.to_json(state))))
    assert findings == whole and state == end


@pytest.mark.parametrize("value", [None, [], {}, {"generation": 1}, "x", {**codec.to_json(bank.State()), "rows": "1"}])  # type: ignore[dict-item]
def test_anything_else_is_no_state(value: object) -> None:
    with pytest.raises(ValueError):
        codec.from_json(bank.State, value)


def test_an_alarm_ends_with_the_generation() -> None:
    """A detector that stays true would stop every run that follows."""
    state, _ = alarms(with_fault("nan", 100, 110, 1))
    assert bank.active(RULES, state) == ("non-finite",)
    state, findings = alarms(healthy(100, 2, generation=2), state=state)
    assert not findings and not bank.active(RULES, state) and state.generation == 2 and state.rows == 100


def test_an_alarm_lasts_while_its_cause_does_and_ends_with_it() -> None:
    state, _ = alarms(with_fault("plus-50", 500, 3000, 1))
    assert "drift" in bank.active(RULES, state), "the new level must not become the usual one"
    rows = [*with_fault("plus-50", 500, 600, 1), *(row._replace(step=row.step + 600) for row in healthy(400, 2))]
    state, _ = alarms(rows)
    assert not bank.active(RULES, state)


@pytest.mark.parametrize("values", [{}, {"loss": -1.0, "norm": 0.0}, {"loss": 1.0}])
def test_odd_rows_are_survived(values: dict[str, float]) -> None:
    state, findings = alarms(Row(step, 0, values) for step in range(1, 500))
    assert not findings and state.rows == 499


# --- memory


def saw(step: int) -> float:
    return 500 + step % 50 * 3


@pytest.mark.parametrize("shape", ["flat", "saw"])
def test_memory_that_does_not_grow_is_no_leak(shape: str) -> None:
    for seed in range(10):
        rng, state = random.Random(seed), leak.LeakState()
        for step in range(1, 3001):
            value = {"flat": 500 + rng.gauss(0, 2), "saw": saw(step) + rng.random()}[shape]
            state, finding = leak.take(state, "memory", step, value)
            assert finding is None, (seed, step)


@pytest.mark.parametrize("steps", [100, 300])
def test_memory_that_levels_off_is_no_leak_any_more(steps: int) -> None:
    """While it still rises, nobody can tell: that is why a leak is possible only, and never a reason to act by itself."""
    for seed in range(5):
        rng, state = random.Random(seed), leak.LeakState()
        for step in range(1, 3001):
            state, _ = leak.take(state, "memory", step, 500 + 100 * (1 - math.exp(-step / steps)) + rng.gauss(0, 2))
        assert not leak.alarmed(state)


@pytest.mark.parametrize("begin", [500, 1500, 5000])
def test_a_leak_that_begins_late_is_seen_as_soon(begin: int) -> None:
    """Over the whole run it would be seen after a third of the steps before it."""
    for seed in range(2):
        rng, state, seen = random.Random(seed), leak.LeakState(), 0
        for step in range(1, begin + 401):
            value = 500 - 60 * math.exp(-step / 60) + rng.gauss(0, 2) + 2.0 * max(0, step - begin)
            state, finding = leak.take(state, "memory", step, value)
            assert not finding or step > begin, (seed, step)
            seen = seen or (step - begin if finding else 0)
        assert 0 < seen <= 400 and leak.per_step(state) > 0.5, (seed, seen)


@pytest.mark.parametrize("shape", ["slow", "saw", "jump"])
def test_long_memory_that_does_not_leak(shape: str) -> None:
    """It fills up for thousands of steps, saws with teeth of 400 rows, or leaps to another level."""
    rng, state = random.Random(1), leak.LeakState()
    for step in range(1, 8001):
        value = {
            "slow": 500 + 150 * (1 - math.exp(-step / 1500)),
            "saw": 500 + step % 400 * 0.2,
            "jump": 500 + 400 * (step > 4000),
        }[shape]
        state, _ = leak.take(state, "memory", step, value + rng.gauss(0, 2))
        assert state.recent_strikes < leak.RUNNING, step
    assert not leak.alarmed(state), "the whole run has levelled off, too"


def test_a_leak_says_how_fast_it_is() -> None:
    state = leak.LeakState()
    for step in range(1, 2001):
        state, _ = leak.take(state, "memory", step, 500 + 0.5 * step)
    assert leak.alarmed(state) and leak.per_step(state) == pytest.approx(0.5, rel=0.1)


def test_the_trend_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(1)
    for size in (12, 40, 80):
        values = [0.02 * at + rng.gauss(0, 1) for at in range(size)]
        slope, _, lower, _ = stats.theilslopes(values, alpha=0.98)
        mine = trend(values)
        assert mine.slope == pytest.approx(slope)
        kendall = stats.kendalltau(range(size), values, method="asymptotic")
        signs = round(kendall.statistic * size * (size - 1) / 2)
        variance = size * (size - 1) * (2 * size + 5) / 18
        factor = ((signs - math.copysign(1, signs)) / mine.z) ** 2 / variance
        assert factor == pytest.approx(correction([v - slope * at for at, v in enumerate(values)]))
        if factor == pytest.approx(1.0):
            assert mine.lower == pytest.approx(lower, abs=0.01)


def test_values_that_depend_on_each_other_make_a_trend_less_sure() -> None:
    rng, level, values = random.Random(2), 0.0, []
    for _ in range(80):
        level = 0.9 * level + rng.gauss(0, 1)
        values.append(level)
    assert correction(values) > 2
    assert correction([(-1) ** at * 1.0 for at in range(80)]) == 1.0


# --- the others


def test_a_loss_that_falls_more_slowly_than_the_baseline() -> None:
    curve = slow.Curve(
        tuple(range(0, 3000, 50)), tuple(0.5 + 0.5 * math.exp(-step / 500) for step in range(0, 3000, 50))
    )

    def run(rate: float, seed: int) -> list[int]:
        rng, state, seen = random.Random(seed), slow.SlowState(), []
        for step in range(1, 2001):
            loss = 0.5 + 0.5 * math.exp(-step / rate) + rng.gauss(0, 0.05)
            state, finding = slow.take(state, curve, "loss", step, loss)
            seen += [finding.step] if finding else []
        return seen

    assert all(run(1500, seed) and run(1500, seed)[0] <= 600 for seed in range(3))
    assert not any(run(500, seed) for seed in range(5))
    assert slow.take(slow.SlowState(), slow.Curve(), "loss", 1, 9.0)[1] is None, "no curve, no judgement"


def test_the_ratio_of_medians_has_a_bound_that_holds() -> None:
    over = 0
    for seed in range(200):
        rng = random.Random(seed)
        first, recent = ([0.5 * math.exp(rng.gauss(0, 0.2)) for _ in range(50)] for _ in range(2))
        over += step_time.ratio_of(recent, first)[1] > 1.0
    assert over <= 10, "at most 5 % of 200"


def test_a_hang_depends_on_how_long_steps_take() -> None:
    assert hang.step_limit_s([0.1] * 100) == 60.0 and hang.step_limit_s([30.0] * 100) == 150.0
    assert hang.silent_s(now=100.0, last=30.0, limit_s=60.0) == 70.0
    assert hang.silent_s(now=100.0, last=41.0, limit_s=60.0) is None
    assert hang.silent_s(now=100.0, last=500.0, limit_s=60.0) is None, "another clock is no hang"


def test_rules_of_the_runbook() -> None:
    rule = DetectorRule("loss", above=2.0, below=0.1, rows=3)

    def steps(*values: float) -> list[int]:
        rows, seen = 0, []
        for step, value in enumerate(values, 1):
            rows, finding = threshold.take(rows, "own", rule, step, value)
            seen += [finding.step] if finding else []
        return seen

    assert steps(3, 3, 1, 3, 3, 3, 3, 3) == [6], "three in a row, once"
    assert steps(0.01, 0.01, 0.01) == [3] and steps(math.nan, math.nan, math.nan) == []
