"""The quality of the model in service beside the baseline's: by date, by example, or as two samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atftctl.decide.verdicts import paired, unpaired
from atftctl.decide.verdicts.comparable import differences
from atftctl.decide.verdicts.comparison import Comparison
from atftctl.domain.metric_rules import Metric, Metrics
from atftctl.domain.pairing import KEYS, PairBy, named
from atftctl.domain.probe_answer import SEE, Answer, read
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import Message, joined, tr

RECORD = tr("record a baseline while the service is healthy: atftctl baseline record")
RECORD_AGAIN = tr("record the baseline again while the service is healthy: atftctl baseline record")
MORE = tr("evaluate on more data, and record a baseline on them, too")


def judge(name: str, answer: Answer, baseline: Mapping[str, Any] | None, tolerances: Checks, metrics: Metrics) -> Check:
    """Compare the quality, where the baseline was measured on the same data, labels and evaluation code; else say what
    differs. `name`: of the check."""

    def inconclusive(detail: str, hint: str = "") -> Check:
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=hint)

    metric = metrics.columns.get(metrics.quality)
    if baseline is None:
        return inconclusive(tr("there is no baseline to compare with"), RECORD)
    if metric is None or not metric.better:
        return inconclusive(tr("the runbook does not say by which column quality is judged; set metrics.quality"))
    before = read("quality", baseline.get("quality"))
    if not before.values:
        return inconclusive(tr("the baseline has no quality"), RECORD_AGAIN)
    if differing := _differences(answer, before, metrics):
        return inconclusive(
            tr("not comparable: the baseline has {differences}", differences=joined("; ", differing)), RECORD_AGAIN
        )
    if _is_identical(answer, before):
        why = tr("weights and predictions are bit-identical to the baseline's")
        return Check(name, Verdict.PASS, why, {"identical": True})
    pair_by = paired_by(answer, before, tolerances)
    if problem := _horizon_problem(answer) or _without_values(answer, before, pair_by):
        return inconclusive(*problem)
    title = metrics.title(metrics.quality) or name
    check = compared(answer, before, pair_by, title=title, metric=metric, tolerances=tolerances).check()
    return replace(check, hint=check.hint or MORE) if check.verdict is Verdict.INCONCLUSIVE else check


def _horizon_problem(answer: Answer) -> tuple[str, str] | None:
    if "horizon" in answer.problems:
        return answer.problems["horizon"], SEE
    if (horizon := answer.get("horizon", 1)) < 1:
        return tr("the probe gave no valid horizon of the labels: {horizon!r}", horizon=horizon), SEE
    return None


def paired_by(answer: Answer, before: Answer, tolerances: Checks) -> PairBy:
    """What the values are paired by: as the runbook says; else by what both sides have."""
    if tolerances.quality_pair_by:
        return "none" if answer.of_run else tolerances.quality_pair_by
    either = (answer, before)
    both = [pair_by for pair_by, key in KEYS.items() if all(side.get(key) for side in either)]
    any_of = [pair_by for pair_by, key in KEYS.items() if any(side.get(key) for side in either)]
    return next(iter([*both, *any_of]), "none")


def values_of(answer: Answer, pair_by: PairBy) -> Mapping[str, Any] | Sequence[Any]:
    """The values of one side. Without a key, values that have one count, too."""
    if pair_by != "none":
        by_key: Mapping[str, Any] = answer.get(KEYS[pair_by], {})
        return by_key
    values: Sequence[Any] = answer.get("values") or ()
    return values or list((answer.get("by_example") or answer.get("by_date") or {}).values())


def compared(
    answer: Answer, before: Answer, pair_by: PairBy, *, title: str, metric: Metric, tolerances: Checks
) -> Comparison:
    """Compare the values of both sides."""
    if not metric.better:
        raise ValueError("the metric has no direction")
    now, theirs = values_of(answer, pair_by), values_of(before, pair_by)
    better, margin, unit = metric.better, tolerances.quality_margin, metric.unit
    if isinstance(now, Mapping) and isinstance(theirs, Mapping):
        if chosen := answer.get("evaluated"):  # on purpose not on all of them
            wanted = set(map(str, chosen))
            theirs = {key: value for key, value in theirs.items() if key in wanted}
        horizon = answer.get("horizon", 1) if pair_by == "date" else 1
        return paired.compare(
            now, theirs, title=title, better=better, margin=margin, unit=unit, min_pairs=tolerances.min_pairs,
            horizon=horizon, pair_by=pair_by,
        )  # fmt: skip
    needed = tolerances.quality_min_evaluations if answer.of_run else tolerances.min_pairs
    return unpaired.compare(
        now, theirs, title=title, better=better, margin=margin, unit=unit, needed=needed,
        evaluations=answer.of_run,
    )  # fmt: skip


def _differences(answer: Answer, before: Answer, metrics: Metrics) -> list[Message]:
    """What the baseline was measured on, and by, that is different now."""
    if answer.of_run != before.of_run:
        text = tr("the metrics of its run, not the probe's answer") if before.of_run else tr("a probe's answer")
        return [text]
    column = before.get("column")
    if column and column != metrics.quality:
        return [tr("another measure, {name}", name=str(column))]
    if answer.of_run:
        theirs, mine = before.get("measured_on"), answer.get("measured_on")
        return differences(Answer("quality", {"identity": mine or {}}), Answer("quality", {"identity": theirs or {}}))
    return differences(answer, before)


def _is_identical(answer: Answer, before: Answer) -> bool:
    """Are weights and predictions those of the baseline, and were they measured?"""
    same = all(answer.get(key) and answer.get(key) == before.get(key) for key in ("weights", "predictions"))
    return same and all(any(side.get(key) for key in (*KEYS.values(), "mean")) for side in (answer, before))


def _without_values(answer: Answer, before: Answer, pair_by: PairBy) -> tuple[str, str] | None:
    """Why nothing can be compared, and what to do; None where both sides have values. A value that was answered, and
    is empty, goes on to the comparison: it is a flaw of the model."""
    key = KEYS[pair_by]
    if answer.of_run and answer.get("values") is None:
        return answer.lacks("values") or "", ""
    if not answer.of_run and answer.get(key) is None and not values_of(answer, pair_by):
        if answer.get("mean") is not None and key not in answer.problems:
            text = tr("a single value, {value:.6g}, has no spread: it can't be said whether a difference is chance",
                      value=answer.get("mean"))  # fmt: skip
            return text, tr("let the probe answer by_date, by_example or values: docs/reference/probe.md")
        return answer.lacks(key) or "", SEE
    if not values_of(before, pair_by):
        return tr("the baseline has no {values}", values=_called(pair_by)), RECORD_AGAIN
    return None


def _called(pair_by: PairBy) -> Message:
    if pair_by == "none":
        return tr("values of the quality")
    return tr("values by which quality could be compared on the same {keys}", keys=named(pair_by))
