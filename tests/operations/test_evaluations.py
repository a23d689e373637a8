"""The quality of the model in training, as the watcher sees it: each evaluation beside the baseline, by date."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from atftctl import protocol
from atftctl.decide.diagnosis import of_quality
from atftctl.domain.diagnosis import Observed
from atftctl.domain.facts import Process
from atftctl.domain.verdict import Check, Verdict
from atftctl.operations.monitoring import quality
from atftctl.operations.project import open_project
from tests.support.projects import Project

DATES = [f"2024-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(100)]
IDENTITY = {"panel": "abc", "horizons": [1, 5]}


def values(level: float, dates: int = 100, seed: int = 1) -> dict[str, float]:
    draw = random.Random(seed)
    return {date: level + draw.gauss(0, 0.15) for date in DATES[:dates]}


BASELINE = values(0.2)


def evaluation(by_date: Any, *, t: float = 5.0, identity: Any = IDENTITY, step: Any = 500) -> dict[str, Any]:
    return {"event": protocol.EVALUATED, "t": t, "step": step, "by_date": by_date, "identity": identity}


@pytest.fixture
def comparer(project: Project, monkeypatch: pytest.MonkeyPatch) -> quality.QualityComparer:
    recorded = {
        "quality": {"identity": IDENTITY, "by_date": BASELINE},
        "model": {"step": 300},
        "curve": {"steps": [100, 400]},
    }
    monkeypatch.setattr(quality.stored, "read_baseline", lambda layout: recorded)
    return quality.QualityComparer(open_project(project.root))


def lower(by: float, dates: int = 100, spread: float = 0.02) -> dict[str, float]:
    draw = random.Random(2)
    return {date: value - by + draw.gauss(0, spread) for date, value in list(BASELINE.items())[:dates]}


@pytest.mark.parametrize(
    ("by_date", "verdict"),
    [
        (lower(0.06), Verdict.FAIL),
        (lower(0.0), Verdict.PASS),
        (lower(-0.01, spread=0.1), Verdict.INCONCLUSIVE),
        (lower(0.06, dates=59), Verdict.INCONCLUSIVE),
        (lower(0.0, dates=60), Verdict.PASS),  # measured on fewer dates than the baseline, on purpose
    ],
)
def test_an_evaluation_is_judged_by_date(
    comparer: quality.QualityComparer, by_date: dict[str, float], verdict: Verdict
) -> None:
    check = comparer.compare([evaluation(by_date)])
    assert check is not None and check.verdict is verdict, check


@pytest.mark.parametrize(
    "event",
    [
        evaluation({}), evaluation(None), evaluation("x"), evaluation({"2024-01-01": "NaN"}),
        evaluation(lower(0.06), identity={"panel": "other"}),
        evaluation(lower(0.06), step=399), evaluation(lower(0.06), step=None),  # a young run is worse, and is well
        {"event": protocol.FIRST_STEP, "t": 1.0},
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_nothing(comparer: quality.QualityComparer, event: dict[str, Any]) -> None:
    assert comparer.compare([event]) is None


def test_only_the_newest_evaluation_counts_and_is_compared_once(
    comparer: quality.QualityComparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = evaluation(lower(0.06), t=1.0), evaluation(lower(0.0), t=2.0)
    check = comparer.compare([bad, good])
    assert check is not None and check.verdict is Verdict.PASS
    monkeypatch.setattr(quality, "compared", lambda *a, **k: pytest.fail("compared again"))
    assert comparer.compare([bad, good]) is check
    assert comparer.compare([]) is None, "another run has begun"


def seen(check: Check | None) -> Observed:
    return replace(Observed(1.0, Process("running", True)), quality=check)


def test_only_a_verdict_is_evidence() -> None:
    strengths = {Verdict.FAIL: ["strong"], Verdict.PASS: ["against"], Verdict.INCONCLUSIVE: []}
    for verdict in Verdict:
        signs = of_quality.evidence(seen(Check("quality", verdict, "as measured")))
        assert [sign.strength for sign in signs] == strengths[verdict]
        assert all(sign.cause == "quality" and "as measured" in sign.text for sign in signs)
    assert of_quality.evidence(seen(None)) == []
