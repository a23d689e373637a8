"""Judge measurements: the guide's final checklist, and its performance regression test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from atftctl.decide.verdicts import of_run
from atftctl.decide.verdicts import quality as qualities
from atftctl.decide.verdicts.cost import memory, step_time, with_limit
from atftctl.decide.verdicts.probe_ends import how_ended, what_to_do
from atftctl.domain.checks import CHECKS
from atftctl.domain.facts import Process
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.probe_answer import SEE, Answer, read
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import joined, tr, trn

Measured = Mapping[str, Any]
LONGEST = 2000  # characters of an error of the probe


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

    `measured`: the answers of the trainer's probe by part (see `observe.trainer_run.measuring`; anything may be in
    them), or what the metrics of the run tell of it, and `service` and `errors`; a part is missing where it was not
    measured. `expected_digest`: of the configs on disk. `metrics`: what the runbook says about them. A check's name is
    its key in `domain.checks.CHECKS`.
    """
    judges: dict[str, Callable[[str, Answer], Check]] = {
        "model": model,
        "dataset": dataset,
        "training": partial(training, tolerances=tolerances),
        "quality": partial(qualities.judge, baseline=baseline, tolerances=tolerances, metrics=metrics),
        "memory": partial(memory, limit=tolerances.memory_ratio, baseline=baseline),
        "step-time": partial(step_time, limit=tolerances.step_time_ratio, baseline=baseline),
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


def _measured_check(name: str, part: Measured | None, judge: Callable[[str, Answer], Check]) -> Check:
    """Judge a measurement: inconclusive where there is none, failed where measuring failed or its process ended."""
    if not part:
        return Check(name, Verdict.INCONCLUSIVE, tr("not measured"))
    log = tuple(str(line) for line in part.get("log") or () if isinstance(line, str))
    if "missing" in part:
        detail = tr("not measured: {reason}", reason=part["missing"])
        return Check(name, Verdict.INCONCLUSIVE, detail, hint=part.get("hint") or what_to_do(part), log=log)
    if "crashed" in part:
        return Check(name, Verdict.FAIL, how_ended(part["crashed"]), log=log)
    if part.get("error"):
        return Check(name, Verdict.FAIL, str(part["error"])[:LONGEST], part)
    return judge(name, read(CHECKS[name].part, part))


def _unknown(name: str, answer: Answer, *keys: str) -> Check | None:
    """An inconclusive check where one of these keys is missing; None where all are there."""
    lacking = answer.lacks(*keys)
    return Check(name, Verdict.INCONCLUSIVE, lacking, hint=SEE) if lacking else None


def model(name: str, answer: Answer) -> Check:
    """The checkpoint in service could be read, and all its weights are finite."""
    if answer.of_run:
        return of_run.model(name, answer)
    if unknown := _unknown(name, answer, "path", "sha256"):
        return unknown
    path, parameters, step = (answer.get(key) for key in ("path", "parameters", "step"))
    for key, text in (("crc", tr("CRC wrong")), ("finite", tr("not all weights are finite"))):
        if answer.get(key) is False:
            return Check(name, Verdict.FAIL, tr("{path}: {reason}", path=path, reason=text), answer.values)
    parts = [
        path,
        *([tr("{parameters:,} parameters", parameters=parameters)] if parameters is not None else []),
        *([tr("step {step}", step=step)] if step is not None else []),
        *([tr("CRC correct")] if answer.get("crc") else []),
        tr("all weights finite") if answer.get("finite") else tr("loaded by the probe"),
    ]
    return Check(name, Verdict.PASS, joined(", ", parts), answer.values)


def dataset(name: str, answer: Answer) -> Check:
    """The data could be read and holds samples."""
    if answer.of_run:
        return of_run.dataset(name, answer)
    if unknown := _unknown(name, answer, "samples"):
        return unknown
    if not answer.get("samples"):
        return Check(name, Verdict.FAIL, tr("no samples"), answer.values)
    facts = [f"{number:,.10g} {title}" for title, number in answer.get("facts", {}).values()]
    detail = joined(", ", [tr("{samples:,} samples", samples=answer.get("samples")), *facts])
    return Check(name, Verdict.PASS, detail, answer.values)


def training(name: str, answer: Answer, tolerances: Checks) -> Check:
    """A short training run has a finite loss, and gradients within the limit."""
    if answer.of_run:
        return of_run.training(name, answer, tolerances)
    if unknown := _unknown(name, answer, "loss"):
        return unknown
    loss, norm, steps = (answer.get(key) for key in ("loss", "grad_norm", "steps"))
    if not math.isfinite(loss) or not (norm is None or math.isfinite(norm)):
        return Check(name, Verdict.FAIL, tr("loss {loss}, gradient norm {norm}", loss=loss, norm=norm), answer.values)
    start = tr("new weights") if answer.get("fresh") else tr("the checkpoint in service")
    parts = [
        *([tr("{steps} steps from {start}", steps=steps, start=start)] if steps is not None else []),
        tr("loss {loss:.4f}", loss=loss),
        *([tr("gradient norm {norm:.2f}", norm=norm)] if norm is not None else []),
    ]
    detail = joined(", ", parts)
    # A small head starts with a large gradient.
    if norm is not None and norm > tolerances.grad_norm_max and not answer.get("fresh"):
        limit = tr("the limit is {limit:g}", limit=tolerances.grad_norm_max)
        return Check(name, Verdict.FAIL, with_limit(detail, limit), answer.values)
    if steps == 0:
        return Check(name, Verdict.INCONCLUSIVE, with_limit(detail, tr("no step was trained")), answer.values, SEE)
    return Check(name, Verdict.PASS, detail, answer.values)


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
        "{process}, {steps} steps in {seconds:.1f} s",
        process=process.name,
        steps=part["steps"],
        seconds=part["seconds"],
    )
    return Check(name, Verdict.PASS, detail, part)
