"""Is a measure of quality back at the baseline's level, where its values have no key to pair them by? Two samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from atftctl.decide.verdicts import dependent, independent
from atftctl.decide.verdicts.comparison import Comparison
from atftctl.decide.verdicts.dated import number_of
from atftctl.decide.verdicts.paired import judge, more_pairs
from atftctl.domain.metric_rules import Direction
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import Message, tr, trn


def compare(
    now: Iterable[object],
    before: Iterable[object],
    *,
    title: str,
    better: Direction,
    margin: float,
    needed: int,
    unit: str = "",
    evaluations: bool = False,
) -> Comparison:
    """Compare two samples of a measure.

    title: how people call the measure. margin: the loss that is accepted, above 0, in the unit of the measure. needed:
    with fewer values on either side there is no verdict. evaluations: the values are those of a run's evaluations in
    their order: neighbours depend on each other; otherwise the values are taken as independent. A value that is not
    finite prevents a pass. Raises ValueError where the margin is not above 0.
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"the margin must be above 0: {margin}")
    (mine, lost), (theirs, _) = _numbers(now), _numbers(before)
    count = min(len(mine), len(theirs))
    comparison = Comparison(title, better, margin, count, pair_by="none", unit=unit, evaluations=evaluations)
    needed = max(needed, 2)
    if count < needed:
        problem = _too_few(len(mine), len(theirs), needed, evaluations=evaluations)
        return replace(comparison, problem=problem, more_pairs=needed - count)
    sign = -1.0 if better == "lower" else 1.0
    means = _mean(mine), _mean(theirs)
    difference = sign * (means[0] - means[1])
    comparison = replace(comparison, now=means[0], baseline=means[1], difference=difference)
    lower, upper = _bounds(mine, theirs, better, evaluations=evaluations)
    verdict = judge(difference, lower, upper, margin)
    comparison = replace(comparison, lower=lower, upper=upper, verdict=verdict)
    if (flaw := _flaw(mine, theirs, lost)) and verdict is not Verdict.FAIL:
        return replace(comparison, verdict=Verdict.INCONCLUSIVE, problem=flaw)
    if verdict is Verdict.INCONCLUSIVE:
        return replace(comparison, more_pairs=more_pairs(difference, lower, upper, margin, count))
    return comparison


def _numbers(values: Iterable[object]) -> tuple[list[float], int]:
    """(the finite numbers, how many values are none)."""
    listed = [number_of(value) for value in values]
    known = [value for value in listed if value is not None]
    return known, len(listed) - len(known)


def _bounds(
    now: Sequence[float], before: Sequence[float], better: Direction, *, evaluations: bool
) -> tuple[float, float]:
    """The bounds of the difference, positive where it is better now."""
    sign = -1.0 if better == "lower" else 1.0
    samples = [[sign * value for value in side] for side in (now, before)]
    both = [*samples[0], *samples[1]]

    def of_one(sample: Sequence[float]) -> tuple[float, float]:
        limits = independent.bounds(independent.with_both(sample, both))
        return dependent.widened(limits, sample) if evaluations else limits

    means = [_mean(sample) for sample in samples]
    limits = [_around(mean, of_one(sample)) for mean, sample in zip(means, samples, strict=True)]
    return independent.of_difference(means[0], limits[0], means[1], limits[1])


def _around(mean: float, limits: tuple[float, float]) -> tuple[float, float]:
    """The bounds, where the values that were added have moved them to one side of the mean: to it at most."""
    return min(limits[0], mean), max(limits[1], mean)


def _flaw(now: Sequence[float], before: Sequence[float], lost: int) -> Message | str:
    """Why the values are not to be trusted, so that they must not pass; empty where there is no reason."""
    if lost:
        return trn(
            "{count} value is not a finite number: are the predictions NaN?",
            "{count} values are not finite numbers: are the predictions NaN?",
            lost,
        )
    for values, text in (
        (now, tr("all values are the same ({value:.4g}): they say nothing about their spread", value=now[0])),
        (before, tr("all values of the baseline are the same ({value:.4g}): they say nothing about their spread",
                    value=before[0])),
    ):  # fmt: skip
        if min(values) == max(values):
            return text
    return ""


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _too_few(now: int, before: int, needed: int, *, evaluations: bool) -> Message:
    if evaluations:
        return tr(
            "{now} evaluations of this run and {before} of the baseline; {needed} of each are needed",
            now=now,
            before=before,
            needed=needed,
        )
    return tr(
        "{now} values now and {before} of the baseline; {needed} of each are needed",
        now=now,
        before=before,
        needed=needed,
    )
