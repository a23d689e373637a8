"""Measurements to verdicts: the guide's final checklist, and its performance regression test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from atftctl.decide.verdicts.rankic import compare
from atftctl.domain.facts import Process
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict

Measured = Mapping[str, Any]


def checklist(
    measured: Measured, baseline: Measured | None, process: Process, tolerances: Checks, expected_digest: str
) -> list[Check]:
    """The seven ticks of the guide's last list, then the training time of its regression test."""
    return [
        model(measured.get("model")),
        dataset(measured.get("dataset")),
        training(measured.get("training"), tolerances),
        quality(measured.get("rankic"), baseline, tolerances),
        errors(measured.get("errors")),
        ratio("memory", measured.get("cost"), "memory_mb", "MB", tolerances.memory_ratio, baseline),
        service(process, measured.get("service"), expected_digest),
        ratio("training time", measured.get("cost"), "step_s", "s a step", tolerances.step_time_ratio, baseline),
    ]


def _missing(name: str, part: Measured | None) -> Check | None:
    if not part:
        return Check(name, Verdict.INCONCLUSIVE, "not measured")
    if part.get("error"):
        return Check(name, Verdict.FAIL, str(part["error"]), part)
    return None


def model(part: Measured | None) -> Check:
    return _missing("model loads", part) or Check(
        "model loads",
        Verdict.PASS,
        f"{part['path']}, {part['parameters']:,} parameters, step {part['step']}, CRC right, all finite",  # type: ignore[index]
        part or {},
    )


def dataset(part: Measured | None) -> Check:
    found = _missing("dataset loads", part)
    if found or part is None:
        return found or Check("dataset loads", Verdict.INCONCLUSIVE, "not measured")
    if not part["samples"]:
        return Check("dataset loads", Verdict.FAIL, "no samples", part)
    return Check(
        "dataset loads",
        Verdict.PASS,
        f"{part['samples']:,} samples, {part['stocks']} stocks, {part['days']} days",
        part,
    )


def training(part: Measured | None, tolerances: Checks) -> Check:
    name = "training can start"
    found = _missing(name, part)
    if found or part is None:
        return found or Check(name, Verdict.INCONCLUSIVE, "not measured")
    loss, norm = float(part["loss"]), float(part["grad_norm"])
    if not math.isfinite(loss) or not math.isfinite(norm):
        return Check(name, Verdict.FAIL, f"loss {loss}, gradient norm {norm}", part)
    start = "fresh weights" if part.get("fresh") else "the checkpoint in service"
    words = f"{part['steps']} steps from {start}, loss {loss:.4f}, gradient norm {norm:.2f}"
    if norm > tolerances.grad_norm_max and not part.get("fresh"):  # a small head starts with a large gradient
        return Check(name, Verdict.FAIL, f"{words}; the limit is {tolerances.grad_norm_max:g}", part)
    return Check(name, Verdict.PASS, words, part)


def quality(part: Measured | None, baseline: Measured | None, tolerances: Checks) -> Check:
    """RankIC of the model in service, paired with the baseline's on the same dates."""
    found = _missing("RankIC@1d", part)
    if found or part is None:
        return found or Check("RankIC@1d", Verdict.INCONCLUSIVE, "not measured")
    if baseline is None:
        return Check(
            "RankIC@1d",
            Verdict.INCONCLUSIVE,
            "no baseline; record one while all is well: atftctl baseline record",
            part,
        )
    before = baseline["rankic"]
    if part["identity"] != before["identity"]:
        return Check(
            "RankIC@1d",
            Verdict.INCONCLUSIVE,
            "the baseline was measured on other data, labels or evaluation code; record it again",
        )
    if part["weights"] == before["weights"] and part["predictions"] == before["predictions"]:
        return Check(
            "RankIC@1d",
            Verdict.PASS,
            "weights and predictions are bit-identical to the baseline's",
            {"identical": True},
        )
    return compare(
        part["by_date"], before["by_date"],
        margin=tolerances.rankic_margin, min_dates=tolerances.rankic_min_dates, horizon=1,
    )  # fmt: skip


def errors(part: Measured | None) -> Check:
    name = "error log clear"
    if part is None:
        return Check(name, Verdict.INCONCLUSIVE, "no run to look at")
    lines: Sequence[str] = part["lines"]
    if lines:
        return Check(name, Verdict.FAIL, f"{len(lines)} since the last start; the last: {lines[-1][:160]}", part)
    return Check(name, Verdict.PASS, f"none since {part['since']}", part)


def ratio(name: str, part: Measured | None, key: str, unit: str, limit: float, baseline: Measured | None) -> Check:
    """A cost of the settings now against the same cost of the baseline's settings."""
    found = _missing(name, part)
    if found or part is None:
        return found or Check(name, Verdict.INCONCLUSIVE, "not measured")
    if baseline is None or f"{key}_ratio" not in part:
        return Check(name, Verdict.INCONCLUSIVE, f"{part[key]:.4g} {unit}; no baseline to compare with", part)
    value, lower = float(part[f"{key}_ratio"]), float(part[f"{key}_ratio_lower"])
    words = f"{part[key]:.4g} {unit}, {value:.2f} × the baseline's settings"
    if not math.isfinite(value):
        return Check(name, Verdict.INCONCLUSIVE, words, part)
    if lower > limit:
        return Check(name, Verdict.FAIL, f"{words}; the limit is {limit:g} ×", part)
    if value > limit:
        return Check(name, Verdict.INCONCLUSIVE, f"{words}; above {limit:g} × but within the noise", part)
    return Check(name, Verdict.PASS, words, part)


def service(process: Process, part: Measured | None, expected_digest: str) -> Check:
    """The recorded trainer runs, with the config that stands on disk, and its steps go on."""
    name = "service stable"
    if process.state == "died":
        return Check(name, Verdict.FAIL, "the trainer died")
    if not process.alive or part is None:
        return Check(name, Verdict.INCONCLUSIVE, f"the trainer is not running ({process.state})")
    if process.digest != expected_digest:
        return Check(name, Verdict.FAIL, "the trainer runs with other settings than the files say; restart it", part)
    if part["steps"] <= 0:
        return Check(name, Verdict.INCONCLUSIVE, f"no step within {part['seconds']:.0f} s", part)
    return Check(name, Verdict.PASS, f"pid {process.pid}, {part['steps']} steps in {part['seconds']:.1f} s", part)
