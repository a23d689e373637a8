"""Checks without a probe: what the metrics, the events and the checkpoints of the run tell."""

from __future__ import annotations

import math

from atftctl.domain.probe_answer import Answer
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import joined, tr, trn


def model(name: str, answer: Answer) -> Check:
    """The checkpoint that the trainer resumes from is whole: by its CRCs, or by the hash that the trainer reported."""
    path, damage = answer.get("path"), answer.get("damage")
    if not path:
        text = tr("there is no checkpoint at {paths}", paths=answer.get("paths", ""))
        return Check(name, Verdict.INCONCLUSIVE, text, hint=tr("see the checkpoints: atftctl checkpoint list"))
    if damage:
        return Check(name, Verdict.FAIL, tr("{path}: {reason}", path=path, reason=damage), answer.values)
    if not answer.get("proven"):
        text = tr(
            "nothing shows that {path} is whole: it has no CRC, and the trainer did not report its hash", path=path
        )
        hint = tr("let the trainer write the event checkpoint with the sha256, or name a probe (trainer.probe)")
        return Check(name, Verdict.INCONCLUSIVE, text, answer.values, hint)
    if not answer.get("own"):
        text = tr(
            "{path} is older than this run, which did not start from it: its metrics say nothing of it", path=path
        )
        hint = tr("run atftctl verify again when the trainer has saved a checkpoint, or name a probe (trainer.probe)")
        return Check(name, Verdict.INCONCLUSIVE, text, answer.values, hint)
    step = answer.get("step")
    parts = [
        path,
        *([tr("step {step}", step=step)] if step is not None else []),
        tr("whole by its CRC or its reported hash; not loaded, since there is no probe"),
    ]
    return Check(name, Verdict.PASS, joined(", ", parts), answer.values)


def dataset(name: str, answer: Answer) -> Check:
    """The running trainer reads the data: it has trained."""
    if not answer.get("rows"):
        return Check(name, Verdict.INCONCLUSIVE, answer.get("problem") or tr("the run has written no metrics yet"))
    return Check(name, Verdict.PASS, tr("read by the trainer, which has trained on it"), answer.values)


def training(name: str, answer: Answer, tolerances: Checks) -> Check:
    """The trainer has made enough steps since its start, and none of the newest is at fault."""
    rows, needed = answer.get("rows", 0), tolerances.probe_steps
    if not rows:
        return Check(name, Verdict.INCONCLUSIVE, answer.get("problem") or tr("the run has written no metrics yet"))
    detail = _measured(answer, rows)

    def check(verdict: Verdict, why: str = "", hint: str = "") -> Check:
        return Check(name, verdict, joined("; ", [detail, why]) if why else detail, answer.values, hint)

    if fault := _fault(answer, tolerances):
        return check(Verdict.FAIL, fault)
    if answer.get("loss") is None:
        return check(Verdict.INCONCLUSIVE, tr("no value of the loss (metrics.loss of the runbook names its column)"))
    if rows < needed:
        why = tr("{needed} are needed (checks.probe_steps)", needed=needed)
        return check(Verdict.INCONCLUSIVE, why, tr("run atftctl verify again when it has them"))
    return check(Verdict.PASS)


def _measured(answer: Answer, rows: int) -> str:
    loss, norm = answer.get("loss"), answer.get("grad_norm")
    parts = [trn("{count} row of metrics since the start", "{count} rows of metrics since the start", rows)]
    parts += [tr("loss {loss:.4f}", loss=loss)] if loss is not None else []
    parts += [tr("gradient norm {norm:.2f}", norm=norm)] if norm is not None else []
    return joined(", ", parts)


def _fault(answer: Answer, tolerances: Checks) -> str:
    """What is wrong with the training; "" where nothing is known to be."""
    if alarms := answer.get("alarms"):
        return tr("alarms: {names} (atftctl diagnose)", names=", ".join(alarms))
    figures = {"loss": answer.get("loss"), "grad_norm": answer.get("grad_norm")}
    if any(value is not None and not math.isfinite(value) for value in figures.values()):
        return tr("it is not a finite number")
    norm = figures["grad_norm"]
    if norm is not None and norm > tolerances.grad_norm_max:
        return tr("the limit is {limit:g}", limit=tolerances.grad_norm_max)
    return ""
