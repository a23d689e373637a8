"""Judge a rehearsal: do the planned settings fit, and train without a fault?

What the probe answered may come from anybody's trainer: every figure is checked before it is used.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import field
from statistics import fmean
from typing import Any

from atftctl.decide.verdicts import probe_rows
from atftctl.decide.verdicts.probe_ends import how_ended
from atftctl.domain.record import record
from atftctl.domain.verdict import Verdict
from atftctl.protocol import TrainerExit
from atftctl.protocol.messages import joined, tr, trn

COLUMNS = ("loss", "loss_rel", "grad_norm")
BY_THE_MACHINE = (signal.SIGKILL, signal.SIGBUS)  # short of memory, or of disk under a memory map
SHORT_OF_MEMORY = ("bad_alloc", "memory allocation", "allocate memory", "out of memory", "not enough memory")
LEAST_MB = 300  # that one training takes at least: the packages alone


@record
class Rehearsed:
    """The verdict on a rehearsal. `text`: what the plan says. `checkpoint`: what training started from; "" where that
    is not known. `figures`: the numbers behind it. `log`: the end of the log of a trainer that crashed."""

    verdict: Verdict
    text: str
    checkpoint: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    log: tuple[str, ...] = ()


def memory_problem(available_mb: int, trainer_mb: float, limit_mb: int, pid: int | None) -> str:
    """Say why two trainings at once do not fit into the free memory; "" where they do, or where it is not known.

    available_mb: that can be taken; 0 where it is not known. trainer_mb: that the trainer in service (`pid`) takes, 0
    where none runs. limit_mb: of one training; 0 for none.
    """
    each = max(LEAST_MB, trainer_mb)
    needed = round(2 * min(each, limit_mb) if limit_mb else 2 * each)
    if not available_mb or needed <= available_mb:
        return ""
    values = {"needed": f"{needed:,}", "free": f"{available_mb:,}"}
    if pid:
        return tr(
            "not enough memory to rehearse beside the running trainer (pid {pid}): two trainings need about "
            "{needed} MB, {free} MB may be taken",
            pid=pid,
            **values,
        )
    return tr("not enough memory to rehearse: two trainings need about {needed} MB, {free} MB may be taken", **values)


def judge(answer: Mapping[str, Any], *, steps: int, limit_mb: int, grad_norm_max: float) -> Rehearsed:
    """Judge what the probe answered. `steps`: that were asked for. `limit_mb`: the memory limit of a training, 0 for
    none. `grad_norm_max`: see `probe_rows.judge`. How the current settings do never decides: they may be the fault."""
    planned, current = _mapping(answer.get("planned")), _mapping(answer.get("current"))
    rows = _rows(planned)
    verdict, fault = _ended(planned, rows, limit_mb)
    if not fault:
        verdict, fault = _health(rows, steps, grad_norm_max)
    parts = [fault] if fault else []
    if not fault or verdict is Verdict.PASS:
        parts += [_memory(planned, limit_mb), _loss(answer, rows, _rows(current)), _time(answer)]
        parts.append(trn("no fault in {count} step", "no fault in {count} steps", len(rows)))
    problem = _current_problem(current, limit_mb)
    if problem and problem != fault and verdict is not Verdict.INCONCLUSIVE:
        parts.append(tr("the current settings fail: {reason}", reason=problem))
    source = planned.get("source")
    return Rehearsed(
        verdict,
        joined("; ", filter(None, parts)),
        source if isinstance(source, str) else "",
        _figures(answer, planned, rows, limit_mb),
        _log(planned),
    )


def _ended(side: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], limit_mb: int) -> tuple[Verdict, str]:
    """Say how the side ended before its last step; (pass, "") where it did not."""
    if crashed := side.get("crashed"):
        return _crashed(crashed, _log(side), limit_mb)
    code, reason = side.get("exit_code"), str(side.get("reason", ""))[:200]
    if isinstance(code, bool) or not isinstance(code, int):
        return Verdict.INCONCLUSIVE, tr("the probe did not say how the training ended")
    if code == TrainerExit.FINISHED:
        return Verdict.PASS, ""
    if code == TrainerExit.OUT_OF_MEMORY:
        return _out_of_memory(side, len(rows) + 1, reason, limit_mb)
    if code == TrainerExit.SAVE_FAILED:
        return Verdict.INCONCLUSIVE, tr(
            "the scratch folder could not be written (TMPDIR names another): {reason}", reason=reason
        )
    if code == TrainerExit.BAD_SETTINGS:
        return Verdict.FAIL, tr("the trainer refuses the settings: {reason}", reason=reason)
    if code == TrainerExit.BAD_CHECKPOINT:
        return Verdict.FAIL, tr("the checkpoint can't be loaded: {reason}", reason=reason)
    return Verdict.FAIL, tr("{reason} in step {step} of the rehearsal", reason=reason, step=len(rows) + 1)


def _crashed(crashed: Any, log: Sequence[str], limit_mb: int) -> tuple[Verdict, str]:
    """The training ended without an answer. Native code that gets no memory under the limit aborts the process."""
    line = next((line for line in log if any(sign in line.lower() for sign in SHORT_OF_MEMORY)), "")
    if line and limit_mb:
        text = tr(
            "does not fit: the training ended for want of memory, limit {limit:,} MB: {line}", limit=limit_mb, line=line
        )
        return Verdict.FAIL, text
    number = _mapping(crashed).get("signal")
    known = isinstance(number, int) and number not in BY_THE_MACHINE
    return Verdict.FAIL if known else Verdict.INCONCLUSIVE, how_ended(crashed)


def _out_of_memory(side: Mapping[str, Any], step: int, reason: str, limit_mb: int) -> tuple[Verdict, str]:
    """Under the trainer's own limit that is a fault; beside all else on the machine or the card it tells nothing."""
    if limit_mb and not _on_card(side):
        text = tr(
            "does not fit: out of memory in step {step}, limit {limit:,} MB: {reason}",
            step=step,
            limit=limit_mb,
            reason=reason,
        )
        return Verdict.FAIL, text
    text = tr("out of memory in step {step}, beside all else that runs: {reason}", step=step, reason=reason)
    return Verdict.INCONCLUSIVE, text


def _health(rows: Sequence[Mapping[str, Any]], steps: int, grad_norm_max: float) -> tuple[Verdict, str]:
    texts = [{name: str(row.get(name, "")) for name in ("step", *COLUMNS)} for row in rows]
    if len(rows) < steps:
        return Verdict.INCONCLUSIVE, tr("{seen} of {steps} steps were trained", seen=len(rows), steps=steps)
    verdict, text = probe_rows.judge(probe_rows.window_of(texts), steps=steps, grad_norm_max=grad_norm_max)
    return verdict, "" if verdict is Verdict.PASS else text


def _memory(side: Mapping[str, Any], limit_mb: int) -> str:
    peak = _mapping(side.get("peak"))
    card, total, data = _number(peak.get("card_mb")), _number(peak.get("card_total_mb")), _number(peak.get("data_mb"))
    if card is not None and total is not None:
        return tr(
            "fits: peak {peak:,.0f} of {limit:,.0f} MB (max_memory_reserved against the card's memory)",
            peak=card,
            limit=total,
        )
    if data is None:
        return tr("the peak of memory is not known")
    if limit_mb:
        return tr("fits: peak {peak:,.0f} of {limit:,} MB (VmData against RLIMIT_DATA)", peak=data, limit=limit_mb)
    return tr("peak {peak:,.0f} MB (VmData; the runbook sets no memory limit)", peak=data)


def _loss(answer: Mapping[str, Any], planned: Sequence[Mapping[str, Any]], current: Sequence[Mapping[str, Any]]) -> str:
    """The mean loss with the current and with the planned settings, over the same steps; the relative loss where they
    have different loss functions."""
    column = "loss" if answer.get("same_loss") is True else "loss_rel"
    count = min(len(planned), len(current))
    before, after = _mean(current[:count], column), _mean(planned[:count], column)
    if before is None or after is None:
        alone = _mean(planned, "loss")
        return "" if alone is None else tr("loss {loss:.2f}", loss=alone)
    values = {"before": f"{before:.2f}", "after": f"{after:.2f}"}
    if column == "loss_rel":
        text = tr("relative loss {before} → {after}", **values)
    else:
        text = tr("loss {before} → {after}", **values)
    return text if answer.get("same_batches") is True else tr("{text} (on other dates)", text=text)


def _time(answer: Mapping[str, Any]) -> str:
    if interval := _interval(answer):
        ratio, lower, upper = (f"{value:.2f}" for value in interval)
        return tr("time a step {ratio} × [{lower}, {upper}]", ratio=ratio, lower=lower, upper=upper)
    return tr("time a step not compared: too few steps of both settings")


def _current_problem(side: Mapping[str, Any], limit_mb: int) -> str:
    return _ended(side, _rows(side), limit_mb)[1] if side else ""


def _figures(
    answer: Mapping[str, Any], planned: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], limit_mb: int
) -> dict[str, Any]:
    peak = _mapping(planned.get("peak"))
    return {
        "steps": len(rows),
        "peak_mb": _number(peak.get("card_mb", peak.get("data_mb"))),
        "limit_mb": _number(peak.get("card_total_mb")) or limit_mb or None,
        "loss_before": _mean(_rows(_mapping(answer.get("current"))), "loss"),
        "loss_after": _mean(rows, "loss"),
        "step_s_ratio": _interval(answer) or None,
    }


def _on_card(side: Mapping[str, Any]) -> bool:
    return str(_mapping(side.get("peak")).get("device", "cpu")) != "cpu"


def _interval(answer: Mapping[str, Any]) -> list[float]:
    """[ratio, lower bound, upper bound]; nothing where it was not measured."""
    value = answer.get("step_s_ratio")
    numbers = [_number(item) for item in value] if isinstance(value, list) else []
    return [number for number in numbers if number is not None] if len(numbers) == 3 and None not in numbers else []


def _rows(side: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = side.get("rows")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _log(side: Mapping[str, Any]) -> tuple[str, ...]:
    log = side.get("log")
    return tuple(str(line) for line in log) if isinstance(log, list) else ()


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> float | None:
    values = [_number(row.get(column)) for row in rows]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
