"""The verdict on a rehearsal: three-valued, and nothing of an answer is believed unchecked."""

from __future__ import annotations

import math
from typing import Any

import pytest

from atftctl.decide.verdicts.rehearsal import Rehearsed, judge, memory_problem
from atftctl.domain.verdict import Verdict
from atftctl.protocol import TrainerExit

STEPS = 20


def side(steps: int = STEPS, loss: float = 2.7, code: int = 0, reason: str = "", **more: Any) -> dict[str, Any]:
    rows = [{"step": 100 + at, "loss": loss, "loss_rel": 0.9, "grad_norm": 0.5, "seconds": 0.03} for at in range(steps)]
    peak = {"data_mb": 412.4, "rss_anon_mb": 300.0, "device": "cpu"}
    return {"rows": rows, "exit_code": code, "reason": reason, "source": "models/last.pth", "peak": peak, **more}


def answer(planned: Any, current: Any = None, **more: Any) -> dict[str, Any]:
    known = {"same_batches": True, "same_loss": True, "step_s_ratio": [0.98, 0.93, 1.04]}
    return {"planned": planned, "current": side(loss=2.704) if current is None else current, **known, **more}


def judged(planned: Any, current: Any = None, limit_mb: int = 438, **more: Any) -> Rehearsed:
    return judge(answer(planned, current, **more), steps=STEPS, limit_mb=limit_mb, grad_norm_max=5.0)


def test_what_the_plan_says() -> None:
    outcome = judged(side(loss=2.692))
    assert outcome.verdict is Verdict.PASS
    assert str(outcome.text) == (
        "fits: peak 412 of 438 MB (VmData against RLIMIT_DATA); loss 2.70 → 2.69; "
        "time a step 0.98 × [0.93, 1.04]; no fault in 20 steps"
    )
    assert outcome.checkpoint == "models/last.pth"
    assert outcome.figures["peak_mb"] == 412.4 and outcome.figures["limit_mb"] == 438
    assert outcome.figures["step_s_ratio"] == [0.98, 0.93, 1.04]


def test_on_a_card_it_is_the_reserved_memory_that_must_fit() -> None:
    peak = {"device": "cuda", "card_mb": 8412.0, "card_total_mb": 81559.0, "data_mb": 9000.0}
    assert "fits: peak 8,412 of 81,559 MB (max_memory_reserved" in judged(side(peak=peak)).text
    beside = judged(side(3, code=TrainerExit.OUT_OF_MEMORY, reason="CUDA out of memory", peak=peak))
    assert beside.verdict is Verdict.INCONCLUSIVE, "the card is shared with the trainer in service"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"same_loss": False}, "relative loss 0.90 → 0.90"),
        ({"same_batches": False}, "(on other dates)"),
        ({"step_s_ratio": None}, "time a step not compared"),
        ({"step_s_ratio": [1.0, math.nan, 2.0]}, "time a step not compared"),
        ({"current": {"crashed": {"signal": 11}}}, "the current settings fail: the probe crashed (SIGSEGV)"),
        (
            {"current": side(2, code=TrainerExit.ANOMALY, reason="loss is nan")},
            "the current settings fail: loss is nan",
        ),
        ({"current": "nonsense"}, "loss 2.70; "),
    ],
)
def test_the_current_settings_decide_nothing(more: dict[str, Any], text: str) -> None:
    outcome = judge({**answer(side()), **more}, steps=STEPS, limit_mb=0, grad_norm_max=5.0)
    assert outcome.verdict is Verdict.PASS and text in outcome.text, outcome


@pytest.mark.parametrize(
    ("planned", "verdict", "text"),
    [
        (
            side(0, code=TrainerExit.OUT_OF_MEMORY, reason="no room"),
            Verdict.FAIL,
            "does not fit: out of memory in step 1",
        ),
        (side(3, code=TrainerExit.ANOMALY, reason="loss is nan"), Verdict.FAIL, "loss is nan in step 4"),
        (
            side(0, code=TrainerExit.BAD_SETTINGS, reason="a: no"),
            Verdict.FAIL,
            "the trainer refuses the settings: a: no",
        ),
        (side(0, code=TrainerExit.BAD_CHECKPOINT, reason="torn"), Verdict.FAIL, "the checkpoint can't be loaded: torn"),
        (side(0, code=TrainerExit.CRASHED, reason="a bug"), Verdict.FAIL, "a bug"),
        (side(0, code=TrainerExit.SAVE_FAILED, reason="full"), Verdict.INCONCLUSIVE, "scratch folder"),
        (side(loss=math.nan), Verdict.FAIL, "loss is not finite"),
        (side(STEPS - 1), Verdict.INCONCLUSIVE, "19 of 20 steps"),
        (side(exit_code=True), Verdict.INCONCLUSIVE, "did not say"),
        (side(exit_code=None), Verdict.INCONCLUSIVE, "did not say"),
        ({}, Verdict.INCONCLUSIVE, "did not say"),
        (None, Verdict.INCONCLUSIVE, "did not say"),
        ({"crashed": {"limit_s": 9}}, Verdict.INCONCLUSIVE, "did not end within 9 s"),
        ({"crashed": {"signal": 9}}, Verdict.INCONCLUSIVE, "SIGKILL"),
        ({"crashed": {"signal": 7}}, Verdict.INCONCLUSIVE, "SIGBUS"),
        ({"crashed": {"signal": 11}}, Verdict.FAIL, "SIGSEGV"),
        ({"crashed": {"exit": 1}, "log": ["OpenBLAS error: Memory allocation still failed"]}, Verdict.FAIL, "not fit"),
        ({"crashed": {"signal": 6}, "log": ["what(): std::bad_alloc"]}, Verdict.FAIL, "does not fit"),
        ({"crashed": "nonsense", "log": 3}, Verdict.INCONCLUSIVE, "exit code ?"),
        ({"rows": 7, "exit_code": 0}, Verdict.INCONCLUSIVE, "0 of 20 steps"),
    ],
)
def test_what_does_not_pass(planned: Any, verdict: Verdict, text: str) -> None:
    outcome = judged(planned)
    assert outcome.verdict is verdict and text in outcome.text, outcome


def test_rows_without_values_are_inconclusive() -> None:
    bare = side()
    bare["rows"] = [{"step": at} for at in range(STEPS)]
    assert judged(bare).verdict is Verdict.INCONCLUSIVE


def test_gradients_that_explode_fail() -> None:
    steep = side()
    for row in steep["rows"][-5:]:
        row["grad_norm"] = 400.0
    assert judged(steep).verdict is Verdict.FAIL


def test_out_of_memory_without_a_limit_is_the_machines() -> None:
    outcome = judged(side(0, code=TrainerExit.OUT_OF_MEMORY, reason="no room"), limit_mb=0)
    assert outcome.verdict is Verdict.INCONCLUSIVE


def test_free_memory() -> None:
    assert memory_problem(700, 0.0, 0, None) == "" and memory_problem(0, 900.0, 0, 7) == "", "0: not known"
    assert "need about 600 MB, 599 MB may be taken" in memory_problem(599, 0.0, 0, None)
    beside = memory_problem(1500, 800.0, 0, 7)
    assert "beside the running trainer (pid 7): two trainings need about 1,600 MB, 1,500 MB" in beside
    assert memory_problem(1500, 800.0, 500, 7) == "", "a training may not take more than its limit"
