"""What the settings cost now, compared with what the baseline's settings cost: memory, and time of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from atftctl.decide.verdicts import bootstrap
from atftctl.decide.verdicts.dated import number_of
from atftctl.decide.verdicts.independent import of_difference
from atftctl.decide.verdicts.quality import RECORD, RECORD_AGAIN
from atftctl.domain.probe_answer import SEE, Answer
from atftctl.domain.record import record
from atftctl.domain.verdict import Check, Verdict, overall
from atftctl.protocol.messages import Message, joined, tr

Baseline = Mapping[str, Any]
LEAST_STEPS = 50  # a ratio of step times from fewer is not judged
OTHERWISE = tr("the baseline's was measured in another way")


@record
class Ratio:
    """A figure divided by the baseline's, with the lower bound of this ratio. `steps`: that it was measured on. What
    could not be compared has a `problem`, and what to do about it in `hint`."""

    value: float = math.nan
    lower: float = math.nan
    steps: int = LEAST_STEPS
    problem: str = ""
    hint: str = RECORD_AGAIN


def with_limit(detail: str, limit: str) -> Message:
    """The detail, and what the limit is."""
    return joined("; ", [detail, limit])


def memory(name: str, answer: Answer, limit: float, baseline: Baseline | None) -> Check:
    """The peak of memory while training, and on a graphics card the peak of the card's memory, too."""
    if lacking := answer.lacks("memory_mb"):
        return Check(name, Verdict.INCONCLUSIVE, lacking, hint="" if answer.of_run else SEE)
    check = _judge(name, answer, "memory_mb", "MB", limit, _recorded(answer, "memory_mb", baseline))
    if answer.get("card_mb") is None:
        return check
    ratio = _recorded(answer, "card_mb", baseline)
    card = _judge(name, answer, "card_mb", tr("MB of the graphics card"), limit, ratio)
    verdict = overall((check, card))
    hint = next((measured.hint for measured in (check, card) if measured.verdict is verdict), "")
    return replace(check, verdict=verdict, detail=with_limit(check.detail, card.detail), hint=hint)


def step_time(name: str, answer: Answer, limit: float, baseline: Baseline | None) -> Check:
    """The time of a training step: in turns with the baseline's settings, or beside the recorded times."""
    if answer.get("step_s") is None and (seconds := numbers_above_0(answer.get("seconds"))):
        answer = replace(answer, values={**answer.values, "step_s": median(seconds)})
    if lacking := answer.lacks("step_s"):
        return Check(name, Verdict.INCONCLUSIVE, lacking, hint="" if answer.of_run else SEE)
    return _judge(name, answer, "step_s", tr("s per step"), limit, _of_steps(answer, baseline))


def _judge(name: str, answer: Answer, key: str, unit: str, limit: float, ratio: Ratio) -> Check:
    figures = {**answer.values, f"{key}_ratio": ratio.value} if not ratio.problem else answer.values
    if ratio.problem:
        detail = tr("{value:.4g} {unit}; {problem}", value=answer.get(key), unit=unit, problem=ratio.problem)
        return Check(name, Verdict.INCONCLUSIVE, detail, figures, ratio.hint)
    detail = tr("{value:.4g} {unit}, {ratio:.2f} × the baseline's", value=answer.get(key), unit=unit, ratio=ratio.value)
    again = tr("when the machine is less busy, run: atftctl verify --check {name}", name=name)
    if not (math.isfinite(ratio.value) and math.isfinite(ratio.lower)):
        return Check(name, Verdict.INCONCLUSIVE, detail, figures, again)
    if ratio.steps < LEAST_STEPS:
        few = tr("{steps} steps were measured, {needed} are needed", steps=ratio.steps, needed=LEAST_STEPS)
        more = tr("set checks.probe_steps of the runbook to {needed} or more", needed=LEAST_STEPS)
        return Check(name, Verdict.INCONCLUSIVE, with_limit(detail, few), figures, more)
    if ratio.lower > limit:
        return Check(name, Verdict.FAIL, with_limit(detail, tr("the limit is {limit:g} ×", limit=limit)), figures)
    if ratio.value > limit:
        noise = tr("above the limit of {limit:g} ×, but within the noise", limit=limit)
        return Check(name, Verdict.INCONCLUSIVE, with_limit(detail, noise), figures, again)
    return Check(name, Verdict.PASS, detail, figures)


def _recorded(answer: Answer, key: str, baseline: Baseline | None) -> Ratio:
    """The ratio to the recorded figure: unlike time, memory does not depend on how busy the machine is. Not where it
    was measured in another way, or on another kind of device."""
    if baseline is None:
        return Ratio(problem=tr("there is no baseline to compare with"), hint=RECORD)
    cost = _cost(baseline)
    before = number_of(cost.get(key))
    if before is None or before <= 0:
        return Ratio(problem=tr("the baseline has none"))
    if not _is_alike(answer, cost, key) or answer.get("device") != cost.get("device"):
        return Ratio(problem=OTHERWISE)
    ratio = float(answer.get(key)) / before
    return Ratio(ratio, ratio)


def _of_steps(answer: Answer, baseline: Baseline | None) -> Ratio:
    if baseline is None:
        return Ratio(problem=tr("there is no baseline to compare with"), hint=RECORD)
    if answer.get("step_s_ratio") is not None:
        if lacking := answer.lacks("step_s_ratio_lower"):
            return Ratio(problem=lacking, hint=SEE)
        steps = answer.get("step_s_steps", LEAST_STEPS)
        return Ratio(answer.get("step_s_ratio"), answer.get("step_s_ratio_lower"), steps)
    if error := answer.get("baseline_error"):
        return Ratio(problem=tr("the baseline's settings can't be trained with: {reason}", reason=error))
    return _of_seconds(answer, _cost(baseline))


def _of_seconds(answer: Answer, cost: Mapping[str, Any]) -> Ratio:
    """The ratio to the recorded times of single steps."""
    now, before = numbers_above_0(answer.get("seconds")), numbers_above_0(cost.get("seconds"))
    if not now and not answer.of_run:
        wrong = joined("; ", answer.problems.values()) if answer.problems else ""
        return Ratio(problem=wrong or tr("the probe gave neither step_s_ratio nor seconds"), hint=SEE)
    if not before:
        return Ratio(problem=tr("the baseline has no times of single steps"))
    if not _is_alike(answer, cost, "step_s"):
        return Ratio(problem=OTHERWISE)
    return _of_times(now, before)


def _of_times(now: Sequence[float], before: Sequence[float]) -> Ratio:
    """The ratio of the medians of two lists of step times, and the lower bound of the ratio of their geometric means:
    how busy a machine is lasts, so that neighbours depend on each other."""
    steps = min(len(now), len(before))
    ratio = median(now) / median(before) if steps else math.nan
    if steps < LEAST_STEPS:
        return Ratio(ratio, ratio, steps)
    logs = [[math.log(value) for value in side] for side in (now, before)]
    means = [math.fsum(side) / len(side) for side in logs]
    limits = [bootstrap.bounds(side) for side in logs]
    lower, _ = of_difference(means[0], limits[0], means[1], limits[1])
    return Ratio(ratio, min(ratio, math.exp(lower)), steps)


def numbers_above_0(values: Any) -> list[float]:
    """The numbers above 0 of a list; none where it holds anything else."""
    numbers = [number_of(value) for value in values] if isinstance(values, list | tuple) else []
    known = [number for number in numbers if number is not None and number > 0]
    return known if len(known) == len(numbers) else []


def _cost(baseline: Baseline) -> Mapping[str, Any]:
    cost = baseline.get("cost")
    return cost if isinstance(cost, Mapping) else {}


def _is_alike(answer: Answer, cost: Mapping[str, Any], key: str) -> bool:
    """Were both measured in the same way: by a probe of the same version, or from the metrics of a run?"""
    of_run = key in (cost.get("of_run") or ())
    return of_run == answer.of_run and (of_run or answer.get("version") == cost.get("version"))
