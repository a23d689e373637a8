"""Three-valued verdicts: no data is never a pass."""

from __future__ import annotations

import math

import pytest

from atftctl.decide.verdicts import checklist, cost
from atftctl.decide.verdicts.quality import judge
from atftctl.domain.facts import Process
from atftctl.domain.metric_rules import Metric, Metrics
from atftctl.domain.probe_answer import read
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict, overall

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
METRICS = Metrics(columns={"ic": Metric("RankIC@1d", better="higher")}, quality="ic")


def test_overall_is_never_a_pass_without_data() -> None:
    assert overall([]) is OPEN
    assert overall([Check("a", PASS, ""), Check("b", OPEN, "")]) is OPEN
    assert overall([Check("a", OPEN, ""), Check("b", FAIL, "")]) is FAIL
    assert overall([Check("a", PASS, "")]) is PASS


def test_nothing_measured_is_inconclusive_everywhere() -> None:
    found = checklist.checklist({}, None, Process(), Checks(), "d", METRICS)
    assert len(found) == 8 and all(check.verdict is OPEN for check in found)


def test_a_probe_that_failed_fails_its_check() -> None:
    broken = {name: {"error": "no"} for name in ("model", "dataset", "training", "quality", "steps")}
    made = checklist.checklist(broken, None, Process(), Checks(), "d", METRICS)
    assert [check.name for check in made if check.verdict is FAIL] == [
        "model", "dataset", "training", "quality", "memory", "step-time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "norm", "verdict"), [(1.0, 2.0, PASS), (1.0, 5.1, FAIL), ("nan", 1.0, FAIL), (1.0, "inf", FAIL)]
)
def test_training(loss: object, norm: object, verdict: Verdict) -> None:
    answer = read("training", {"loss": loss, "grad_norm": norm, "steps": 3})
    assert checklist.training("training can start", answer, Checks()).verdict is verdict


@pytest.mark.parametrize(
    ("ratio", "lower", "verdict"), [(1.1, 1.0, PASS), (1.3, 1.25, FAIL), (1.25, 1.1, OPEN), (math.nan, math.nan, OPEN)]
)
def test_costs(ratio: float, lower: float, verdict: Verdict) -> None:
    answer = read("steps", {"step_s": 0.1, "step_s_ratio": ratio, "step_s_ratio_lower": lower})
    assert cost.step_time("step-time", answer, 1.2, {}).verdict is verdict


PART = {"identity": {"panel": "a"}, "by_date": {}, "weights": "w", "predictions": "p"}


def quality(now: dict[str, object], before: dict[str, object] | None, metrics: Metrics = METRICS) -> Check:
    return judge("quality", read("quality", now), before and {"quality": before}, Checks(), metrics)


def test_quality_is_not_compared_with_another_measurement() -> None:
    assert quality(PART, None).verdict is OPEN
    assert quality(PART, {**PART, "identity": {"panel": "b"}}).verdict is OPEN


@pytest.mark.parametrize("horizon", [0, -1, True, 1.5, "1"])
def test_a_horizon_that_is_none_gives_no_verdict(horizon: object) -> None:
    check = quality(PART | {"horizon": horizon, "weights": "other"}, PART)
    assert check.verdict is OPEN and "horizon" in check.detail


def test_equal_weights_and_predictions_are_the_stronger_proof() -> None:
    measured = PART | {"by_date": {"2020-01-06": 0.1}}
    same = quality(measured, measured)
    assert same.verdict is PASS and "bit-identical" in same.detail
    assert quality(PART, PART).verdict is OPEN, "without any date, equal hashes prove nothing"


def test_quality_needs_a_column_and_a_direction_in_the_runbook() -> None:
    for metrics in (Metrics(), Metrics(columns={"ic": Metric()}, quality="ic")):
        check = quality(PART, PART, metrics)
        assert check.verdict is OPEN and "metrics.quality" in check.detail


def test_quality_is_judged_in_the_direction_of_the_runbook() -> None:
    days = [f"2020-{at:05d}" for at in range(80)]
    low = PART | {"by_date": {day: 0.1 + 0.01 * (at % 7) for at, day in enumerate(days)}, "weights": "other"}
    high = PART | {"by_date": {day: 0.2 + 0.01 * (at % 5) for at, day in enumerate(days)}}
    loss = Metrics(columns={"loss": Metric("loss", better="lower")}, quality="loss")
    assert quality(low, high).verdict is FAIL and quality(low, high, loss).verdict is PASS


def test_the_service_must_run_what_the_files_say() -> None:
    running = Process(state="running", pid=1, digest="d")
    moving = {"steps": 3, "seconds": 1.0}
    assert checklist.service(running, moving, "d").verdict is PASS
    assert checklist.service(running, moving, "other").verdict is FAIL
    assert checklist.service(running, {"steps": 0, "seconds": 10.0}, "d").verdict is OPEN
    assert checklist.service(Process(state="died"), None, "d").verdict is FAIL
    assert checklist.service(Process(state="stopped"), None, "d").verdict is OPEN
