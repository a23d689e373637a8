"""The paired comparison: its verdicts and sentences, and what it makes of values that are no measurement."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta

import pytest

from atftctl.decide.verdicts import paired
from atftctl.decide.verdicts.comparison import Comparison
from atftctl.decide.verdicts.dated import Dated
from atftctl.domain.verdict import Verdict

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
FIRST = date(2019, 1, 4)


def days(count: int, first: date = FIRST, step: int = 1) -> list[str]:
    return [(first + timedelta(days=step * at)).isoformat() for at in range(count)]


def noise(count: int, spread: float, seed: int, mean: float = 0.0) -> list[float]:
    source = random.Random(seed)
    return [mean + source.gauss(0, spread) for _ in range(count)]


def series(values: Iterable[object]) -> dict[str, object]:
    listed = list(values)
    return dict(zip(days(len(listed)), listed, strict=True))


def compare(now: Dated, before: Dated, **changed: object) -> Comparison:
    given: dict[str, object] = {"title": "RankIC@1d", "better": "higher", "margin": 0.02, "min_pairs": 60}
    return paired.compare(now, before, **(given | changed))  # type: ignore[arg-type]


def changed_by(shift: float, spread: float, count: int = 250, seed: int = 1) -> tuple[list[float], list[float]]:
    """A service whose RankIC by date is the baseline's, plus a shift and noise."""
    before = noise(count, 0.15, seed, mean=0.03)
    return [value + shift + extra for value, extra in zip(before, noise(count, spread, seed + 1), strict=True)], before


def test_the_sentence_of_a_pass() -> None:
    now, before = changed_by(0.0, 0.03)
    comparison = compare(series(now), series(before))
    assert comparison.verdict is PASS and comparison.more_pairs is None
    assert comparison.sentence() == (
        f"RankIC@1d {sum(now) / 250:.4f}, baseline {sum(before) / 250:.4f}; difference {comparison.difference:+.4f}, "
        f"lower 95 % bound {comparison.lower:+.4f} > -0.02: restored (250 dates)"
    )
    assert comparison.sentence().isascii(), "a terminal of LANG=C shows it"


def test_the_sentence_of_a_loss() -> None:
    comparison = compare(*map(series, changed_by(-0.05, 0.03)))
    assert comparison.verdict is FAIL and not comparison.improved
    assert f"<= -0.02, upper 95 % bound {comparison.upper:+.4f} < 0: degraded (250 dates)" in comparison.sentence()


def test_an_open_comparison_says_how_many_more_pairs_would_settle_it() -> None:
    comparison = compare(series(noise(80, 0.15, 3)), series(noise(80, 0.15, 4)))
    assert comparison.verdict is OPEN and comparison.more_pairs
    assert f"about {comparison.more_pairs:,} more dates would settle it" in comparison.sentence()
    assert ": inconclusive (80 dates)" in comparison.sentence()


def test_the_number_of_more_pairs_is_about_right() -> None:
    """At a mean of -0.005 and a spread of 0.12, the bound reaches -0.02 at (1.645 · 0.12 / 0.015)² = 173 dates."""
    estimates = []
    for seed in range(100, 130, 2):
        now, before = changed_by(0.0, 0.12, 60, seed)
        extra = [mine - theirs for mine, theirs in zip(now, before, strict=True)]
        middle, scale = statistics.fmean(extra), 0.12 / statistics.pstdev(extra)
        exact = [base - 0.005 + scale * (value - middle) for base, value in zip(before, extra, strict=True)]
        comparison = compare(series(exact), series(before))
        assert comparison.verdict is OPEN and comparison.more_pairs
        estimates.append(60 + comparison.more_pairs)
    assert 173 / 1.5 < statistics.median(estimates) < 173 * 1.5


def test_improved_means_restored_and_a_mean_above_the_baseline() -> None:
    up, down = compare(*map(series, changed_by(0.004, 0.03))), compare(*map(series, changed_by(-0.004, 0.03)))
    assert (up.verdict, down.verdict) == (PASS, PASS)
    assert up.improved and not down.improved


def test_a_measure_whose_lower_values_are_better() -> None:
    now, before = changed_by(-0.05, 0.03)
    better = compare(series(now), series(before), title="loss", better="lower")
    assert better.improved and better.difference is not None and better.difference > 0.04
    assert "lower is better; improvement +0.0" in better.sentence()
    worse = compare(series(before), series(now), title="loss", better="lower")
    assert worse.verdict is FAIL and "lower is better; improvement -0.0" in worse.sentence()


def test_the_same_values_from_other_weights_pass() -> None:
    values = noise(100, 0.15, 5)
    comparison = compare(series(values), series(values))
    assert comparison.verdict is PASS and not comparison.improved
    assert "difference +0.0000, lower 95 % bound +0.0000 > -0.02: restored" in comparison.sentence()


def test_rounding_never_hides_on_which_side_of_the_margin_a_bound_is() -> None:
    close = Comparison("m", "higher", 0.02, 99, PASS, 0.03, 0.03, 0.0, lower=-0.019999, upper=0.02)
    assert "-0.019999 > -0.02" in close.sentence()
    coarse = Comparison("m", "higher", 500.0, 99, PASS, 90_000.0, 90_000.0, 0.0, lower=-100.0, upper=100.0)
    assert (
        coarse.sentence() == "m 90000, baseline 90000; difference +0, lower 95 % bound -100 > -500: restored (99 dates)"
    )


# What is no measurement


def test_twelve_dates() -> None:
    comparison = compare(series(noise(12, 0.1, 1)), series(noise(12, 0.1, 2)))
    assert (comparison.verdict, comparison.pairs, comparison.more_pairs) == (OPEN, 12, 48)
    assert comparison.sentence() == "RankIC@1d: 12 dates in common with the baseline; 60 are needed, 48 more"
    assert comparison.difference is not None and comparison.lower is None


def test_a_runbook_cannot_ask_for_a_verdict_on_three_dates() -> None:
    assert compare(series([0.1, 0.2, 0.3]), series([0.1, 0.2, 0.4]), min_pairs=1).more_pairs == 17


def test_labels_that_overlap_need_three_periods() -> None:
    values = noise(100, 0.1, 1)
    assert compare(series(values), series(noise(100, 0.1, 2)), horizon=500).more_pairs == 1400


@pytest.mark.parametrize("count", [0, 1])
def test_one_date_and_none(count: int) -> None:
    comparison = compare(series([0.1] * count), series([0.2] * count))
    assert comparison.verdict is OPEN and comparison.sentence()


def every_third(value: object) -> Callable[[list[float]], list[object]]:
    return lambda values: [value if at % 3 == 0 else given for at, given in enumerate(values)]


BROKEN: Mapping[str, tuple[Callable[[list[float]], Iterable[object]], str]] = {
    "all NaN": (lambda values: [math.nan] * len(values), "no value for 100 of the baseline's 100 dates"),
    "NaN on a third of the dates": (every_third(math.nan), "no value for 34 of the baseline's 100 dates"),
    "infinite": (every_third(math.inf), "no value for 34 of the baseline's 100 dates"),
    "minus infinity": (every_third(-math.inf), "no value for 34 of the baseline's 100 dates"),
    "null": (every_third(None), "no value for 34 of the baseline's 100 dates"),
    "true": (every_third(True), "no value for 34 of the baseline's 100 dates"),
    "a list": (every_third([0.1]), "no value for 34 of the baseline's 100 dates"),
    "words": (every_third("n/a"), "no value for 34 of the baseline's 100 dates"),
    "text NaN": (every_third("nan"), "no value for 34 of the baseline's 100 dates"),
    "a number of 400 digits": (every_third(10**400), "no value for 34 of the baseline's 100 dates"),
    "out of all bounds": (every_third(1e300), "no value for 34 of the baseline's 100 dates"),
    "all zero": (lambda values: [0.0] * len(values), "the same value on every date (0)"),
    "constant": (lambda values: [0.25] * len(values), "the same value on every date (0.25)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_measurement_never_passes_and_says_why(case: str) -> None:
    breaks, reason = BROKEN[case]
    values = noise(100, 0.05, 7, mean=0.01)
    comparison = compare(series(breaks(values)), series(values))
    assert comparison.verdict is OPEN and not comparison.improved
    assert reason in comparison.sentence()


@pytest.mark.parametrize("case", BROKEN)
def test_a_baseline_that_is_no_measurement_gives_no_verdict(case: str) -> None:
    values = noise(100, 0.05, 7, mean=-0.3)
    comparison = compare(series(values), series(BROKEN[case][0](values)))
    if case in ("all NaN", "all zero", "constant"):
        assert comparison.verdict is OPEN and "record it again: atftctl baseline record" in comparison.sentence()
    else:
        assert comparison.verdict is PASS and comparison.pairs == 66, "the other dates are equal"


def test_dates_without_a_value_do_not_hide_a_loss() -> None:
    now, before = changed_by(-0.1, 0.03)
    assert compare(series(every_third(math.nan)(now)), series(before)).verdict is FAIL


def test_dates_that_do_not_overlap() -> None:
    later = dict(zip(days(100, date(2020, 1, 6)), noise(100, 0.1, 1), strict=True))
    comparison = compare(later, series(noise(100, 0.1, 2)))
    assert (comparison.verdict, comparison.pairs) == (OPEN, 0)
    assert "no value for 100 of the baseline's 100 dates, first for 2019-01-04" in comparison.sentence()


def test_further_dates_of_now_are_left_out() -> None:
    now, before = changed_by(0.0, 0.02)
    shorter = dict(list(series(before).items())[:100])
    assert compare(series(now), shorter).pairs == 100


def test_text_that_holds_a_number_counts() -> None:
    now, before = changed_by(0.0, 0.03)
    as_text = compare(series(map(repr, now)), series(map(str, before)))
    assert as_text.sentence() == compare(series(now), series(before)).sentence()


def test_a_date_twice() -> None:
    now, before = changed_by(0.0, 0.03)
    rows = list(series(now).items())
    assert compare([*rows, rows[3]], series(before)).verdict is PASS, "the same row twice is harmless"
    contradiction = compare([*rows, (rows[3][0], 0.5)], series(before))
    assert contradiction.verdict is OPEN and "no value for 1 of the baseline's 250 dates" in contradiction.sentence()


def test_dates_in_any_order_and_with_gaps() -> None:
    now, before = changed_by(0.0, 0.03)
    spaced = [day for at, day in enumerate(days(600)) if at % 7 not in (5, 6) and at % 31][:250]
    mine, theirs = (list(zip(spaced, values, strict=True)) for values in (now, before))
    shuffled = random.Random(1).sample(mine, len(mine))
    assert compare(shuffled, theirs).sentence() == compare(series(now), series(before)).sentence()


@pytest.mark.parametrize("margin", [0.0, -0.02, math.nan, math.inf])
def test_a_margin_that_is_none(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        compare({}, {}, margin=margin)
    with pytest.raises(ValueError, match="horizon"):
        compare({}, {}, horizon=0)


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1e6, 1e90])
def test_the_unit_does_not_matter(scale: float) -> None:
    now, before = changed_by(0.0, 0.03)
    plain = compare(series(now), series(before))
    scaled = compare(series(v * scale for v in now), series(v * scale for v in before), margin=0.02 * scale)
    assert scaled.verdict is plain.verdict and plain.lower is not None
    assert scaled.lower == pytest.approx(plain.lower * scale, rel=1e-9)


# The rules


@pytest.mark.parametrize(
    ("mean", "lower", "upper", "verdict"),
    [
        (0.0, -0.019, 0.02, PASS),
        (0.0, -0.02, 0.02, OPEN),
        (0.0, -0.021, 0.02, OPEN),
        (-0.03, -0.05, -0.01, FAIL),
        (-0.01, -0.03, -0.001, OPEN),
        (-0.03, -0.08, 0.001, OPEN),
        (-0.005, -0.015, -0.001, PASS),
    ],
)
def test_judge(mean: float, lower: float, upper: float, verdict: Verdict) -> None:
    assert paired.judge(mean, lower, upper, 0.02) is verdict


def test_more_pairs_grow_towards_the_margin_until_they_do_not_help() -> None:
    def more(mean: float) -> int | None:
        return paired.more_pairs(mean, mean - 0.03, mean + 0.03, 0.02, 100)

    far, near = more(0.005), more(-0.01)
    assert far is not None and near is not None and 0 < far < near
    assert more(-0.0199) is None and more(-0.02) == 125
    lost = Comparison("m", "higher", 0.02, 100, OPEN, 0.01, 0.03, -0.0199, -0.05, 0.01)
    assert "more values would hardly settle it" in lost.sentence()
