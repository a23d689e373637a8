"""Judge measurements: the guide's final checklist, and its performance regression test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from atftctl.decide.verdicts.comparable import differences
from atftctl.decide.verdicts.paired import compare
from atftctl.decide.verdicts.probe_ends import how_ended, what_to_do
from atftctl.domain.checks import CHECKS
from atftctl.domain.facts import Process
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict, overall
from atftctl.protocol.messages import Message, joined, tr, trn

Measured = Mapping[str, Any]
LEAST_STEPS = 50  # a ratio of step times from fewer is not judged
RECORD = tr("record a baseline while the service is healthy: atftctl baseline record")
RECORD_AGAIN = tr("record the baseline again while the service is healthy: atftctl baseline record")


def checklist(
    measured: Measured,
    baseline: Measured | None,
    process: Process,
    tolerances: Checks,
    expected_digest: str,
    metrics: Metrics,
    only: Sequence[str] = tuple(CHECKS),
) -> list[Check]:
    """Return the checks of these names, in the order of the guide's last list, then of its regression test.

    `measured`: the answers of the trainer's probe by part (see `observe.trainer_run.measuring`), and `service` and
    `errors`; a part is missing where it was not measured. `expected_digest`: of the configs on disk. `metrics`: what
    the runbook says about them. A check's name is its key in `domain.checks.CHECKS`.
    """
    judges: dict[str, Callable[[str, Measured], Check]] = {
        "model": model,
        "dataset": dataset,
        "training": partial(training, tolerances=tolerances),
        "quality": partial(comparable_quality, baseline=baseline, tolerances=tolerances, metrics=metrics),
        "memory": partial(memory, limit=tolerances.memory_ratio, baseline=baseline),
        "step-time": partial(
            ratio, key="step_s", unit=tr("s per step"), limit=tolerances.step_time_ratio, baseline=baseline
        ),
    }
    checks: dict[str, Callable[[], Check]] = {
        "errors": lambda: errors(measured.get("errors")),
        "service": lambda: service(process, measured.get("service"), expected_digest),
        **{
            name: partial(_measured_check, name, measured.get(CHECKS[name].part), judge)
            for name, judge in judges.items()
        },
    }
    return [replace(checks[name](), name=name) for name in CHECKS if name in only]


def _measured_check(name: str, part: Measured | None, judge: Callable[[str, Measured], Check]) -> Check:
    """Judge a measurement: inconclusive where there is none, failed where measuring failed or its process ended."""
    if not part:
        return Check(name, Verdict.INCONCLUSIVE, tr("not measured"))
    log = tuple(str(line) for line in part.get("log") or () if isinstance(line, str))
    if "missing" in part:
        detail = tr("not measured: {reason}", reason=part["missing"])
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=what_to_do(part), log=log)
    if "crashed" in part:
        return Check(name, Verdict.FAIL, how_ended(part["crashed"]), log=log)
    if part.get("error"):
        return Check(name, Verdict.FAIL, str(part["error"]), part)
    try:
        return judge(name, part)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError) as error:
        reason = f"{type(error).__name__} {error}"
        detail = tr("the measurement can't be used: {reason}", reason=reason)
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=tr("check the program that trainer.probe names"))


def model(name: str, part: Measured) -> Check:
    """The checkpoint in service could be read: its CRC is right and all weights are finite."""
    detail = tr(
        "{path}, {parameters:,} parameters, step {step}, CRC correct, all weights finite",
        path=part["path"],
        parameters=part["parameters"],
        step=part["step"],
    )
    return Check(name, Verdict.PASS, detail, part)


def dataset(name: str, part: Measured) -> Check:
    """The data could be read and holds samples."""
    if not part["samples"]:
        return Check(name, Verdict.FAIL, tr("no samples"), part)
    detail = tr(
        "{samples:,} samples, {stocks:,} stocks, {days:,} days",
        samples=part["samples"],
        stocks=part["stocks"],
        days=part["days"],
    )
    return Check(name, Verdict.PASS, detail, part)


def training(name: str, part: Measured, tolerances: Checks) -> Check:
    """A short training run has a finite loss, and gradients within the limit."""
    loss, norm = float(part["loss"]), float(part["grad_norm"])
    if not math.isfinite(loss) or not math.isfinite(norm):
        return Check(name, Verdict.FAIL, tr("loss {loss}, gradient norm {norm}", loss=loss, norm=norm), part)
    detail = tr(
        "{steps} steps from {start}, loss {loss:.4f}, gradient norm {norm:.2f}",
        steps=part["steps"],
        start=tr("new weights") if part.get("fresh") else tr("the checkpoint in service"),
        loss=loss,
        norm=norm,
    )
    if norm > tolerances.grad_norm_max and not part.get("fresh"):  # a small head starts with a large gradient
        return Check(
            name, Verdict.FAIL, _with(detail, tr("the limit is {limit:g}", limit=tolerances.grad_norm_max)), part
        )
    return Check(name, Verdict.PASS, detail, part)


def _with(detail: str, limit: str) -> str:
    return joined("; ", [detail, limit])


def comparable_quality(
    name: str, part: Measured, baseline: Measured | None, tolerances: Checks, metrics: Metrics
) -> Check:
    """`quality` where the baseline was measured on the same data, labels and evaluation code; else what differs."""
    if baseline is None:
        return Check(name, Verdict.INCONCLUSIVE, tr("there is no baseline to compare with"), part, RECORD)
    before = baseline["rankic"]
    if differing := differences(part, before):
        detail = tr("not comparable: the baseline has {differences}", differences=joined("; ", differing))
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=RECORD_AGAIN)
    if dates := part.get("evaluated"):  # on purpose not on all dates
        values = {date: value for date, value in before["by_date"].items() if date in set(dates)}
        baseline = {**baseline, "rankic": {**before, "by_date": values}}
    check = quality(metrics.title(metrics.quality) or name, part, baseline, tolerances, metrics)
    if check.verdict is Verdict.INCONCLUSIVE and not check.hint:
        hint = tr("evaluate on more dates (a longer validation period), and record a baseline on them, too")
        return replace(check, hint=hint)
    return check


def quality(name: str, part: Measured, baseline: Measured | None, tolerances: Checks, metrics: Metrics) -> Check:
    """The quality of the model in service, compared with the baseline's on the same dates."""
    metric = metrics.columns.get(metrics.quality)
    if metric is None or not metric.better:
        why = tr("the runbook does not say by which column quality is judged; set metrics.quality")
        return Check(name, Verdict.INCONCLUSIVE, why, part)
    if baseline is None:
        why = tr("no baseline; record one while the service is healthy: atftctl baseline record")
        return Check(name, Verdict.INCONCLUSIVE, why, part)
    before = baseline["rankic"]
    if part["identity"] != before["identity"]:
        why = tr(
            "the baseline was measured on other data, labels or evaluation code; record it again: atftctl baseline "
            "record"
        )
        return Check(name, Verdict.INCONCLUSIVE, why)
    same = part["weights"] == before["weights"] and part["predictions"] == before["predictions"]
    if same and part["by_date"] and before["by_date"]:
        why = tr("weights and predictions are bit-identical to the baseline's")
        return Check(name, Verdict.PASS, why, {"identical": True})
    horizon = part.get("horizon", 1)
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        why = tr("the probe gave no valid horizon of the labels: {horizon!r}", horizon=horizon)
        return Check(name, Verdict.INCONCLUSIVE, why)
    return compare(
        part["by_date"],
        before["by_date"],
        title=name,
        better=metric.better,
        margin=tolerances.quality_margin,
        min_dates=tolerances.quality_min_dates,
        horizon=horizon,
    ).check()


def errors(part: Measured | None) -> Check:
    """The trainer has logged no error since its last start. `part`: `lines` of errors, and `unread`, why something of
    the logs could not be searched."""
    name = "errors"
    if part is None:
        hint = tr("start the trainer: atftctl trainer start")
        return Check(name, Verdict.INCONCLUSIVE, tr("there is no run yet"), hint=hint)
    lines: Sequence[str] = part["lines"]
    if lines:
        detail = trn(
            "{count} error since the last start: {last}",
            "{count} errors since the last start; the last one: {last}",
            len(lines),
            last=lines[-1][:160],
        )
        return Check(name, Verdict.FAIL, detail, part)
    if unread := part.get("unread"):
        detail = tr("not all of the logs could be searched: {reasons}", reasons=joined("; ", unread))
        return Check(name, Verdict.INCONCLUSIVE, detail, part, tr("see more: atftctl logs --errors"))
    return Check(name, Verdict.PASS, tr("no errors since {since}", since=part["since"]), part)


def memory(name: str, part: Measured, limit: float, baseline: Measured | None) -> Check:
    """The peak of memory while training, and on a graphics card the peak of the card's memory, too."""
    check = ratio(name, part, key="memory_mb", unit="MB", limit=limit, baseline=baseline)
    if "card_mb" not in part:
        return check
    card = ratio(name, part, key="card_mb", unit=tr("MB of the graphics card"), limit=limit, baseline=baseline)
    verdict = overall((check, card))
    hint = next((measured.hint for measured in (check, card) if measured.verdict is verdict), "")
    return replace(check, verdict=verdict, detail=_with(check.detail, card.detail), hint=hint)


def ratio(name: str, part: Measured, key: str, unit: str, limit: float, baseline: Measured | None) -> Check:
    """What the settings cost now, compared with what the baseline's settings cost."""
    if baseline is None or f"{key}_ratio" not in part:
        detail = tr("{value:.4g} {unit}; {problem}", value=part[key], unit=unit, problem=_no_ratio(part, baseline))
        return Check(name, Verdict.INCONCLUSIVE, detail, part, RECORD if baseline is None else RECORD_AGAIN)
    value, lower = float(part[f"{key}_ratio"]), float(part[f"{key}_ratio_lower"])
    detail = tr("{value:.4g} {unit}, {ratio:.2f} × the baseline's", value=part[key], unit=unit, ratio=value)
    again = tr("when the machine is less busy, run: atftctl verify --check {name}", name=name)
    if not math.isfinite(value):
        return Check(name, Verdict.INCONCLUSIVE, detail, part, again)
    steps = int(part.get(f"{key}_steps", LEAST_STEPS))
    if steps < LEAST_STEPS:
        few = tr("{steps} steps were measured, {needed} are needed", steps=steps, needed=LEAST_STEPS)
        more = tr("set checks.probe_steps of the runbook to {needed} or more", needed=LEAST_STEPS)
        return Check(name, Verdict.INCONCLUSIVE, _with(detail, few), part, more)
    if lower > limit:
        return Check(name, Verdict.FAIL, _with(detail, tr("the limit is {limit:g} ×", limit=limit)), part)
    if value > limit:
        noise = tr("above the limit of {limit:g} ×, but within the noise", limit=limit)
        return Check(name, Verdict.INCONCLUSIVE, _with(detail, noise), part, again)
    return Check(name, Verdict.PASS, detail, part)


def _no_ratio(part: Measured, baseline: Measured | None) -> Message:
    """Why what the settings cost could not be compared."""
    if baseline is None:
        return tr("there is no baseline to compare with")
    if error := part.get("baseline_error"):
        return tr("the baseline's settings can't be trained with: {reason}", reason=error)
    return tr("the baseline's was measured in another way")


def service(process: Process, part: Measured | None, expected_digest: str) -> Check:
    """The recorded trainer runs with the configs on disk, and makes steps."""
    name = "service"
    if process.state == "died":
        return Check(name, Verdict.FAIL, tr("the trainer died"))
    if process.where:
        detail = tr("the trainer was started on {place}; its state can't be seen from here", place=process.where)
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=tr("run this command there"))
    if not process.alive or part is None:
        detail = tr("the trainer is not running ({state})", state=STATE_TEXTS[process.state])
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=tr("start the trainer: atftctl trainer start"))
    if process.digest != expected_digest:
        return Check(
            name,
            Verdict.FAIL,
            tr("the trainer runs with other settings than the config files; restart it: atftctl trainer restart"),
            part,
        )
    if part["steps"] <= 0:
        detail = tr("no step within {seconds:.0f} s", seconds=part["seconds"])
        hint = tr("see what the trainer does (atftctl trainer status), then run: atftctl verify --check service")
        return Check(name, Verdict.INCONCLUSIVE, detail, part, hint)
    detail = tr(
        "pid {pid}, {steps} steps in {seconds:.1f} s", pid=process.pid, steps=part["steps"], seconds=part["seconds"]
    )
    return Check(name, Verdict.PASS, detail, part)
