"""The quality in the gate of a phase: by a model file of the phase, and better where the gate says so."""

from __future__ import annotations

import math

import pytest

from atftctl.decide.verdicts.gate import quality
from atftctl.domain.gate import Quality
from atftctl.domain.verdict import Check, Verdict

NEW = Check("model", Verdict.PASS, "", {"path": "models/best.pth", "sha256": "new", "step": 500})
BEFORE = {"models/best.pth": "old"}


def compared(verdict: Verdict, **figures: object) -> Check:
    return Check("quality", verdict, "measured", figures)


@pytest.mark.parametrize(
    ("rule", "verdict", "difference", "expected"),
    [
        ("no-worse", Verdict.PASS, -0.001, Verdict.PASS),
        ("no-worse", Verdict.FAIL, -0.03, Verdict.FAIL),
        ("no-worse", Verdict.INCONCLUSIVE, 0.01, Verdict.INCONCLUSIVE),
        ("improved", Verdict.PASS, 0.001, Verdict.PASS),
        ("improved", Verdict.PASS, 0.0, Verdict.INCONCLUSIVE),
        ("improved", Verdict.PASS, -0.001, Verdict.INCONCLUSIVE),
        ("improved", Verdict.PASS, math.nan, Verdict.INCONCLUSIVE),
        ("improved", Verdict.PASS, "0.1", Verdict.INCONCLUSIVE),
        ("improved", Verdict.FAIL, 0.1, Verdict.FAIL),
        ("improved", Verdict.INCONCLUSIVE, 0.1, Verdict.INCONCLUSIVE),
    ],
)
def test_the_rule(rule: Quality, verdict: Verdict, difference: object, expected: Verdict) -> None:
    assert quality(compared(verdict, difference=difference), NEW, BEFORE, rule, 500).verdict is expected


def test_bit_identical_to_the_baseline_is_no_improvement() -> None:
    assert quality(compared(Verdict.PASS, identical=True), NEW, BEFORE, "improved", 500).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("verdict", Verdict)
def test_a_model_from_before_the_phase_shows_nothing(verdict: Verdict) -> None:
    old = Check("model", Verdict.PASS, "", {"path": "models/best.pth", "sha256": "old", "step": 500})
    judged = quality(compared(verdict, difference=1.0), old, BEFORE, "no-worse", 500)
    assert judged.verdict is Verdict.INCONCLUSIVE and "from before the phase" in judged.detail


@pytest.mark.parametrize("model", [None, Check("model", Verdict.FAIL, "damaged")])
def test_a_model_that_is_not_known_is_no_pass(model: Check | None) -> None:
    assert quality(compared(Verdict.PASS), model, {}, "no-worse", 500).verdict is Verdict.INCONCLUSIVE
    assert quality(compared(Verdict.FAIL), model, {}, "no-worse", 500).verdict is Verdict.FAIL


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize(("reached", "step"), [(499, 500), (None, 500), (True, 1), ("600", 500), (500, None)])
def test_a_model_from_the_first_steps_of_the_phase_shows_nothing(verdict: Verdict, reached: object, step: int) -> None:
    model = Check("model", Verdict.PASS, "", {"path": "models/last.pth", "sha256": "new", "step": reached})
    judged = quality(compared(verdict, difference=1.0), model, BEFORE, "no-worse", step)
    assert judged.verdict is Verdict.INCONCLUSIVE and "step" in judged.detail
