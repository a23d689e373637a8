"""The checklist: what is asked for, what crashed, what is incomplete, and which baseline can be compared with."""

from __future__ import annotations

from typing import Any

import pytest

from atftctl.decide.verdicts import checklist
from atftctl.decide.verdicts.comparable import differences
from atftctl.decide.verdicts.probe_ends import how_ended
from atftctl.domain.checks import CHECKS, PARTS, parts_of
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import Process
from atftctl.domain.metric_rules import Metric, Metrics
from atftctl.domain.probe_answer import read
from atftctl.domain.runbook import Checks
from atftctl.domain.verdict import Check, Verdict
from atftctl.operations.verification.checklist import chosen

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
METRICS = Metrics(columns={"ic": Metric(title="IC", better="higher")}, quality="ic")
IDENTITY = {"panel": "a", "horizons": [1, 5], "first": "2019-01-04", "last": "2020-12-30", "evaluation": 3}


def judge(measured: dict[str, Any], baseline: dict[str, Any] | None = None, only: tuple[str, ...] = ()) -> list[Check]:
    return checklist.checklist(measured, baseline, Process(), Checks(), "d", METRICS, only or tuple(CHECKS))


def test_only_the_checks_that_were_asked_for_in_their_order() -> None:
    assert [check.name for check in judge({}, only=("step-time", "model"))] == ["model", "step-time"]


def test_what_is_chosen() -> None:
    assert chosen((), quick=False) == tuple(CHECKS)
    assert "step-time" not in chosen((), quick=True)
    assert chosen(("service",), quick=True) == ("service",)
    assert parts_of(("errors", "service")) == (), "nothing that needs the trainer's probe"
    assert parts_of(tuple(CHECKS)) == PARTS
    with pytest.raises(UsageError) as unknown:
        chosen(("modell",), quick=False)
    assert "modell" in unknown.value.message and "model" in unknown.value.hint
    with pytest.raises(UsageError, match="leaves out"):
        chosen(("step-time",), quick=True)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ({"signal": 9}, "SIGKILL"),
        ({"signal": 11}, "SIGSEGV"),
        ({"signal": 77}, "signal 77"),
        ({"exit": 3}, "exit code 3"),
        ({"limit_s": 300.0}, "within 300 s"),
        ({"reason": "wrote more than 64 MB of output"}, "64 MB"),
        ({}, "exit code ?"),
        ("nonsense", "exit code ?"),
    ],
)
def test_a_probe_that_crashed_fails_with_the_end_of_its_log(ended: Any, words: str) -> None:
    assert words in how_ended(ended)
    checks = judge({"quality": {"crashed": ended, "log": ["last words", 3]}}, only=("quality",))
    assert checks[0].verdict is FAIL and checks[0].log == ("last words",)


def test_a_probe_that_was_not_started_is_inconclusive_and_says_what_to_do() -> None:
    (check,) = judge({"model": {"missing": "No module named 'torch'", "log": []}}, only=("model",))
    assert check.verdict is OPEN and "torch" in check.detail and "pip install" in check.hint


@pytest.mark.parametrize("name", ["model", "dataset", "training", "quality", "memory", "step-time"])
@pytest.mark.parametrize("part", [{"unknown": 1}, {"samples": None, "path": [], "loss": "x", "memory_mb": "much"}])
def test_a_measurement_that_makes_no_sense_is_never_a_pass(name: str, part: dict[str, Any]) -> None:
    baseline = {"quality": {"identity": IDENTITY, "by_date": {}, "weights": "w", "predictions": "p"}, "cost": {}}
    (check,) = judge({CHECKS[name].part: part}, baseline, only=(name,))
    assert check.verdict is not PASS, check


def test_logs_that_could_not_be_searched_are_no_pass() -> None:
    part = {"lines": [], "unread": ["logs/training.log: permission denied"], "since": "today"}
    (check,) = judge({"errors": part}, only=("errors",))
    assert check.verdict is OPEN and "permission denied" in check.detail and "logs --errors" in check.hint
    assert judge({"errors": {**part, "lines": ["ERROR"]}}, only=("errors",))[0].verdict is FAIL


def test_no_dates_are_no_pass_though_the_forecasts_are_bit_identical() -> None:
    part = {"identity": IDENTITY, "by_date": {}, "weights": "w", "predictions": "p"}
    (check,) = judge({"quality": part}, {"quality": part}, only=("quality",))
    assert check.verdict is OPEN, check


def test_each_inconclusive_check_says_what_to_do() -> None:
    parts = {
        "quality": {"identity": IDENTITY, "by_date": {}, "weights": "w", "predictions": "p"},
        "training": {"steps": 3, "loss": 1.0, "grad_norm": 1.0, "memory_mb": 100.0},
        "steps": {"step_s": 0.1},
    }
    checks = judge(parts, only=("quality", "errors", "memory", "service", "step-time"))
    assert all(check.verdict is OPEN and check.hint for check in checks), checks


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"panel": "b"}, ["other data"]),
        ({"last": "2021-12-30"}, ["2020-12-30"]),
        ({"horizons": [1]}, ["other labels"]),
        ({"evaluation": 4}, ["evaluation code"]),
        ({"panel": "b", "horizons": [1], "evaluation": 4}, ["other data", "other labels", "evaluation code"]),
        ({"something new": 1}, ["other data"]),
    ],
)
def test_what_the_baseline_differs_in_is_said(changes: dict[str, Any], words: list[str]) -> None:
    before = {"identity": IDENTITY, "by_date": {}, "weights": "w", "predictions": "p"}
    now = {**before, "identity": {**IDENTITY, **changes}}
    texts = differences(read("quality", now), read("quality", before))
    assert len(texts) == len(words) and all(word in text for word, text in zip(words, texts, strict=True)), texts
    (check,) = judge({"quality": now}, {"quality": before}, only=("quality",))
    assert check.verdict is OPEN and "not comparable" in check.detail and "baseline record" in check.hint


def test_another_universe_is_named() -> None:
    before = {"identity": IDENTITY, "facts": {"stocks": 480}}
    now = {"identity": {**IDENTITY, "panel": "b"}, "facts": {"stocks": {"value": 500, "title": "stocks"}}}
    [text] = differences(read("quality", now), read("quality", before))
    assert "stocks: 480; now 500" in text


def test_fewer_dates_on_purpose_are_compared_on_these_dates() -> None:
    """`--quick` evaluates on some dates: the others of the baseline are not missing. A date without a value is."""
    dates = [f"2020-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 11)]
    before = {"identity": IDENTITY, "weights": "w", "predictions": "p", "by_date": dict.fromkeys(dates, 0.1)}
    before["by_date"] = {date: 0.1 + 0.001 * number for number, date in enumerate(dates)}
    some = dates[::2] + dates[1::8]
    now = {**before, "predictions": "q", "evaluated": some, "by_date": {date: before["by_date"][date] for date in some}}
    (check,) = judge({"quality": now}, {"quality": before}, only=("quality",))
    assert check.verdict is PASS and check.figures["pairs"] == len(some), check


def test_memory_is_compared_only_if_it_was_measured_in_the_same_way() -> None:
    part = {"memory_mb": 100.0, "version": 2}
    (check,) = judge({"training": part}, {"cost": {"memory_mb": 90.0}}, only=("memory",))
    assert check.verdict is OPEN and "in another way" in check.detail and "baseline record" in check.hint


def test_settings_of_the_baseline_that_no_longer_load_are_inconclusive() -> None:
    part = {"step_s": 0.1, "baseline_error": "model.layers: unknown key"}
    (check,) = judge({"steps": part}, {"cost": {}}, only=("step-time",))
    assert check.verdict is OPEN and "model.layers" in check.detail


@pytest.mark.parametrize(
    ("host", "card", "verdict"),
    [(1.1, 1.1, "pass"), (1.1, 1.3, "fail"), (1.3, 1.1, "fail"), (1.1, None, "inconclusive")],
)
def test_on_a_graphics_card_its_memory_counts_too(host: float, card: float | None, verdict: str) -> None:
    cost = {"memory_mb": 100.0 / host, **({"card_mb": 900.0 / card} if card else {})}
    (check,) = judge({"training": {"memory_mb": 100.0, "card_mb": 900.0}}, {"cost": cost}, only=("memory",))
    assert check.verdict.value == verdict and "900 MB of the graphics card" in check.detail


@pytest.mark.parametrize(
    ("process", "detail", "hint"),
    [
        (Process(), "the trainer is not running (never started)", "atftctl trainer start"),
        (Process(state="elsewhere", where="node7"), "was started on node7; its state can't be seen from here", "there"),
    ],
)
def test_a_service_that_is_not_seen_running_is_not_known(process: Process, detail: str, hint: str) -> None:
    check = checklist.service(process, None, "d")
    assert check.verdict is Verdict.INCONCLUSIVE and detail in check.detail and hint in check.hint
    assert "start" not in check.hint or not process.where, "a second trainer must not be started beside it"
