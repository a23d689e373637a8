"""Is a measure of quality back at the baseline's level? A comparison of pairs of the same date or the same
example, with three answers.

Which measure, its direction and its margin are the caller's. The method, its sources and how often it errs:
docs/explanation/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide.verdicts import independent
from atftctl.decide.verdicts.bootstrap import bounds
from atftctl.decide.verdicts.comparison import Comparison
from atftctl.decide.verdicts.dated import Dated, Pairs, pair
from atftctl.domain.metric_rules import LEAST_DATES, Direction
from atftctl.domain.pairing import PairBy, counted
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import Message, tr

LEAST_PERIODS = 3  # of labels that do not overlap; fewer say nothing about the spread of their mean
HOPELESS = 100  # times the pairs so far: a verdict that needs more is not worth waiting for


def compare(
    now: Dated,
    before: Dated,
    *,
    title: str,
    better: Direction,
    margin: float,
    min_pairs: int,
    horizon: int = 1,
    pair_by: PairBy = "date",
    unit: str = "",
) -> Comparison:
    """Compare a measure with the baseline's: `now` and `before` are its values by ISO date, or by the id of an example.

    title: how people call the measure. margin: the loss that is accepted, above 0, in the unit of the measure.
    min_pairs: with fewer keys in common there is no verdict. horizon: of the labels, in dates; 1 if they do not
    overlap. Values of near dates depend on each other; examples do not. A key of the baseline that has no value now
    prevents a pass: a caller that measured on purpose on some of the keys passes only those of the baseline. Raises
    ValueError where margin or horizon are not above 0.
    """
    if not 0 < margin < math.inf or horizon < 1:
        raise ValueError(f"margin and horizon must be above 0: {margin}, {horizon}")
    pairs, needed = pair(now, before), max(min_pairs, LEAST_DATES, LEAST_PERIODS * horizon)
    differences = _differences(pairs, better)
    count = len(pairs.keys)
    comparison = _described(Comparison(title, better, margin, count, pair_by=pair_by, unit=unit), pairs, differences)
    flaw = _flaw(pairs, pair_by)
    if count < needed or (pair_by == "date" and _is_constant(pairs.baseline)):
        more = None if flaw else needed - count
        return replace(comparison, problem=flaw or _too_few(pair_by, count, needed), more_pairs=more)
    mean = _mean(differences)
    lower, upper = _bounds(pairs, differences, horizon, pair_by)
    verdict = judge(mean, lower, upper, margin)
    comparison = replace(comparison, lower=lower, upper=upper, verdict=verdict)
    if flaw and verdict is not Verdict.FAIL:
        return replace(comparison, verdict=Verdict.INCONCLUSIVE, problem=flaw)
    if verdict is Verdict.INCONCLUSIVE:
        return replace(comparison, more_pairs=more_pairs(mean, lower, upper, margin, count))
    return comparison


def _bounds(pairs: Pairs, differences: Sequence[float], horizon: int, pair_by: PairBy) -> tuple[float, float]:
    if pair_by == "date":
        return bounds(differences, horizon)
    mean = _mean(differences)
    lower, upper = independent.bounds(independent.with_rare(differences, (*pairs.now, *pairs.baseline)))
    return min(lower, mean), max(upper, mean)


def _differences(pairs: Pairs, better: Direction) -> list[float]:
    """By key, positive where the value is better now."""
    sign = -1.0 if better == "lower" else 1.0
    return [sign * (mine - theirs) for mine, theirs in zip(pairs.now, pairs.baseline, strict=True)]


def _described(comparison: Comparison, pairs: Pairs, differences: Sequence[float]) -> Comparison:
    if not differences:
        return comparison
    return replace(comparison, now=_mean(pairs.now), baseline=_mean(pairs.baseline), difference=_mean(differences))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def judge(mean: float, lower: float, upper: float, margin: float) -> Verdict:
    """Judge a mean difference by its one-sided bounds. "Not significant" does not mean "restored": what is neither
    shown to be within the margin nor shown to be lost is inconclusive."""
    if lower > -margin:
        return Verdict.PASS
    if upper < 0 and mean <= -margin:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE


def more_pairs(mean: float, lower: float, upper: float, margin: float, pairs: int) -> int | None:
    """Estimate how many more pairs would settle an inconclusive verdict if mean and spread stay: the bounds come closer
    to the mean with the square root of the pairs. None where it is more than `HOPELESS` times the pairs so far."""
    reach, room = (mean - lower, mean + margin) if mean > -margin else (upper - mean, -mean)
    if reach >= room * math.sqrt(HOPELESS):
        return None
    return max(1, math.ceil(pairs * (reach / room) ** 2) - pairs)


def _flaw(pairs: Pairs, pair_by: PairBy) -> Message | str:
    """Why the values are not to be trusted, so that they must not pass; empty where there is no reason."""
    if not pairs.wanted:
        return tr("the baseline has no value that can be used; record it again: atftctl baseline record")
    if pairs.missing:
        return tr(
            "no value for {missing:,} of the baseline's {wanted}, first for {key}: are the predictions "
            "constant or NaN?",
            missing=len(pairs.missing),
            wanted=counted(pair_by, pairs.wanted),
            key=pairs.missing[0][:60],
        )
    if pair_by != "date":  # all examples may well be right
        return ""
    if _is_constant(pairs.baseline):
        return tr(
            "the baseline has the same value on every date ({value:.4g}); record it again: atftctl baseline record",
            value=pairs.baseline[0],
        )
    if _is_constant(pairs.now):
        return tr("the same value on every date ({value:.4g}): are the forecasts constant?", value=pairs.now[0])
    return ""


def _is_constant(values: Sequence[float]) -> bool:
    return len(values) > 1 and min(values) == max(values)


def _too_few(pair_by: PairBy, count: int, needed: int) -> Message:
    return tr(
        "{pairs} in common with the baseline; {needed:,} are needed, {more:,} more",
        pairs=counted(pair_by, count),
        needed=needed,
        more=needed - count,
    )
