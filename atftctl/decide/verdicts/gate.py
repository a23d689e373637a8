"""Judge the quality of the forecasts for the gate of a phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from atftctl.domain.gate import Quality
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol.messages import joined, tr


def quality(check: Check, model: Check | None, before: Mapping[str, str], rule: Quality, step: int | None) -> Check:
    """Judge a comparison with the baseline by the gate's rule.

    check: the comparison; its figures hold `difference`, the mean difference. model: the check of the model file that
    was compared; its figures hold `path`, `sha256` and `step`. before: SHA-256 of the model files when the phase began,
    by path. step: the training step that the model must have reached; None where that is not known. A model from before
    the phase, or from its first steps, shows nothing about the phase.
    """
    figures = model.figures if model else {}
    path, sha256 = figures.get("path"), figures.get("sha256")
    if not path or not sha256:
        return replace(check, verdict=worse(check.verdict), detail=_with(check, tr("the model file is not known")))
    if before.get(str(path)) == sha256:
        text = tr("{path} is still the file from before the phase: it shows nothing about the phase", path=path)
        return Check(check.name, Verdict.INCONCLUSIVE, text, check.figures)
    reached = figures.get("step")
    if step is None or isinstance(reached, bool) or not isinstance(reached, int) or reached < step:
        text = tr(
            "{path} is of step {reached}, the gate needs one of step {step} or later",
            path=path,
            reached="?" if reached is None else reached,
            step="?" if step is None else step,
        )
        return Check(check.name, Verdict.INCONCLUSIVE, text, check.figures)
    if rule == "improved" and check.verdict is Verdict.PASS and not improved(check.figures):
        return replace(
            check, verdict=Verdict.INCONCLUSIVE, detail=_with(check, tr("no worse, but not shown to be better"))
        )
    return check


def improved(figures: Mapping[str, object]) -> bool:
    """Is the mean difference above 0? That it is not below the margin is known where the comparison passed."""
    difference = figures.get("difference")
    return isinstance(difference, int | float) and difference > 0


def worse(verdict: Verdict) -> Verdict:
    """A verdict that may not be a pass any more."""
    return Verdict.INCONCLUSIVE if verdict is Verdict.PASS else verdict


def _with(check: Check, text: str) -> str:
    return joined("; ", [check.detail, text])
