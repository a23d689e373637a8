"""Two samples that are not paired, and pairs of examples: how often the bounds err, and what is no measurement."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from atftctl.decide.verdicts import independent, paired, unpaired
from atftctl.decide.verdicts.comparison import Comparison
from atftctl.domain.verdict import Verdict
from tests.support.today import some

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
TIMES = 200
Draw = Callable[[random.Random], float]
KINDS: dict[str, Draw] = {
    "normal": lambda source: source.gauss(0, 1),
    "skewed": lambda source: source.lognormvariate(0, 0.7),
    "right or wrong": lambda source: float(source.random() < 0.9),
}

SAMPLES = [(kind, now, before) for now, before in ((25, 25), (60, 150)) for kind in KINDS]


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(independent, "DRAWS", 400)


@pytest.mark.parametrize(("kind", "now", "before"), some(SAMPLES, 2))
def test_a_bound_of_95_percent_misses_5_percent(kind: str, now: int, before: int) -> None:
    """With 200 series, 5 % have a standard error of 1.5 %: more than 10 % would be a fault of the bounds."""
    above = below = 0
    for seed in range(TIMES):
        source = random.Random(seed)
        samples = [[KINDS[kind](source) for _ in range(count)] for count in (now, before)]
        lower, upper = unpaired._bounds(samples[0], samples[1], "higher", evaluations=False)
        above, below = above + (lower > 0), below + (upper < 0)
    assert above <= 0.1 * TIMES and below <= 0.1 * TIMES, (above, below)
    assert above + below >= 0.01 * TIMES, "bounds that never miss are too wide"


def compare(now: list[float], before: list[float], **changed: object) -> Comparison:
    given: dict[str, object] = {"title": "perplexity", "better": "lower", "margin": 1.0, "needed": 20}
    return unpaired.compare(now, before, **(given | changed))  # type: ignore[arg-type]


def sample(level: float, count: int, seed: int, spread: float = 2.0) -> list[float]:
    source = random.Random(seed)
    return [level + source.gauss(0, spread) for _ in range(count)]


def test_the_three_verdicts_where_lower_is_better() -> None:
    before = sample(20.0, 300, 1)
    good = compare(sample(19.8, 300, 2), before)
    assert good.verdict is PASS and good.improved and "(300 values, not paired)" in good.sentence()
    assert "lower is better" in good.sentence()
    assert compare(sample(24.0, 300, 2), before).verdict is FAIL
    wide = compare(sample(22.0, 30, 2, spread=5.0), before)
    assert wide.verdict is OPEN and "more" in wide.sentence()
    few = compare(sample(20.0, 19, 2), before)
    assert few.verdict is OPEN and few.more_pairs == 1 and "19 values now and 300 of the baseline" in few.sentence()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_nothing_is_no_verdict(count: int) -> None:
    assert compare([1.0] * count, [2.0] * count, needed=0).verdict is OPEN
    assert compare([], sample(20.0, 100, 1)).verdict is OPEN


def test_values_that_are_none_or_all_the_same_never_pass() -> None:
    before = sample(20.0, 300, 1)
    broken = compare([*sample(20.0, 299, 2), math.nan], before)
    assert broken.verdict is OPEN and "1 value is not a finite number" in broken.sentence()
    assert "all values are the same (19)" in compare([19.0] * 300, before).sentence()
    assert compare([19.0] * 300, before).verdict is OPEN
    assert compare([40.0] * 300, before).verdict is FAIL, "constant, and far worse"


def test_evaluations_of_a_run() -> None:
    before, now = sample(90.0, 12, 1, spread=0.1), sample(89.95, 12, 2, spread=0.1)
    rule: dict[str, object] = {"better": "higher", "margin": 0.5, "needed": 5, "evaluations": True, "unit": "%"}
    same = compare(now, before, **rule)
    assert same.verdict is PASS and "(12 evaluations)" in same.sentence() and "> -0.5 %" in same.sentence()
    assert compare([value - 3 for value in now], before, **rule).verdict is FAIL
    assert "4 evaluations of this run and 12" in compare(now[:4], before, **rule).sentence()


def by_example(wrong: set[int], count: int) -> dict[str, float]:
    return {f"{number:04}": 0.0 if number in wrong else 100.0 for number in range(count)}


def examples(wrong: set[int], count: int, **changed: object) -> Comparison:
    given: dict[str, object] = {"title": "accuracy", "better": "higher", "margin": 2.0, "min_pairs": 20}
    now, before = by_example(wrong, count), by_example({1, 2, 3}, count)
    return paired.compare(now, before, pair_by="example", unit="%", **(given | changed))  # type: ignore[arg-type]


def test_pairs_of_examples() -> None:
    same = examples({1, 2, 4}, 1000)
    assert same.verdict is PASS and "99.70 %, baseline 99.70 %" in same.sentence()
    assert "(1,000 examples)" in same.sentence()
    assert examples(set(range(60)), 1000).verdict is FAIL
    assert "19 examples in common" in examples({1, 2, 3}, 19).sentence()


def test_few_equal_pairs_do_not_prove_that_a_rare_loss_is_impossible() -> None:
    """30 of 30 equal: one in ten may still be lost (0.9³⁰ = 4 %). With 1,000 it is shown."""
    assert examples({1, 2, 3}, 30).verdict is OPEN and examples({1, 2, 3}, 1000).verdict is PASS


def test_bounds_of_very_many_values() -> None:
    values = sample(0.0, 50_000, 1, spread=1.0)
    lower, upper = independent.bounds(values)
    mean = sum(values) / len(values)
    assert mean - lower == pytest.approx(1.645 / math.sqrt(50_000), rel=0.15)
    assert upper - mean == pytest.approx(1.645 / math.sqrt(50_000), rel=0.15)


def series(count: int, correlation: float, source: random.Random, level: float = 0.0) -> list[float]:
    """Evaluations of a run: each is like the one before it."""
    value, values = source.gauss(0, 1), []
    for _ in range(count):
        value = correlation * value + math.sqrt(1 - correlation**2) * source.gauss(0, 1)
        values.append(level + value)
    return values


@pytest.mark.parametrize("counts", [(5, 5), (7, 30)])
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_evaluations_that_depend_on_each_other_seldom_pass_at_the_margin(counts: tuple[int, int], better: str) -> None:
    """The loss is exactly the margin, so that each pass is a false one. As independent values they pass in a quarter of
    all cases."""
    source, passed, times = random.Random(3), 0, 100
    for _ in range(times):
        now = series(counts[0], 0.8, source, level=-1.0 if better == "higher" else 1.0)
        rule: dict[str, object] = {"better": better, "margin": 1.0, "needed": 5, "evaluations": True}
        passed += compare(now, series(counts[1], 0.8, source), **rule).verdict is PASS
    assert passed <= 0.09 * times, passed
