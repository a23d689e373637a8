"""Acting is earned: what counts as a proof, and how much of it is needed."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from atftctl.decide.acting import earned
from atftctl.decide.detectors import bank
from atftctl.decide.diagnosis.replayed import Replay
from atftctl.domain.acting import Acting
from atftctl.domain.detector_rules import DetectorRule
from atftctl.domain.earned import Span
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.run_rows import Row
from atftctl.observe.runbook import load, locate
from tests.support.projects import ROOT
from tests.support.series import alarms, healthy, with_fault

BOOK = load.load(locate.find_project(ROOT)).runbook
SERIES = replace(
    BOOK, metrics=Metrics(loss="loss", gradient="norm", memory="memory", step_time="seconds", quality="ic")
)
RULES = bank.rules_of(SERIES)


def replayed(rows: Any, fault_at: int | None = None, evaluate: int = 0) -> Replay:
    """Rows through the detectors and the policy. `evaluate`: each so many rows an evaluation."""
    replay = Replay(RULES, fault_at, runbook=SERIES)
    replay.feed("x", (_with_quality(row) if evaluate and row.step % evaluate == 0 else row for row in rows))
    return replay


def _with_quality(row: Row) -> Row:
    return row._replace(values={**row.values, "ic": 0.03})


def test_thirty_thousand_healthy_steps_without_an_act_are_just_enough() -> None:
    for acts, needed in ((0, 30_000), (1, 47_600), (2, 63_200)):
        missing = earned.missing(0, acts)
        assert needed * 0.99 <= missing <= needed * 1.03, (acts, missing)
        assert earned.missing(missing, acts) == 0 and earned.missing(missing - 1, acts) == 1
    shown = earned.shown_by([Span("replay", 1, 1, 30_000, 30_000)], frozenset())
    assert shown.is_enough and shown.bound <= earned.RATE
    assert not earned.shown_by([Span("replay", 1, 1, 29_999, 29_999)], frozenset()).is_enough
    assert not earned.shown_by([Span("replay", 1, 1, 30_000, 30_000, acts=1)], frozenset()).is_enough
    assert earned.shown_by([], frozenset()).bound == 1.0


def test_the_same_steps_count_once() -> None:
    spans: tuple[Span, ...] = ()
    for span in (
        Span("replay", 1, 1, 1000, 1000),
        Span("replay", 1, 1, 1000, 1000),  # again
        Span("replay", 1, 501, 1000, 500),  # the end of a copy
        Span("replay", 1, 1, 2000, 2000, acts=1),  # the run has gone on
        Span("replay", 1, 1, 900, 900),  # an old copy takes no false rollback away
        Span("replay", 1, 2001, 2500, 500),  # another part of it
        Span("replay", 2, 1, 100, 100),
    ):
        spans = earned.added(spans, span)
    shown = earned.shown_by(spans, frozenset())
    assert (shown.steps, shown.acts, shown.generations) == (2600, 1, 2)
    watched = earned.watched(earned.watched(None, 1, 10), 1, 400, acts=2)
    both = earned.shown_by([*spans, watched], frozenset())
    assert (both.steps, both.acts) == (2600, 2), "a run that was watched and replayed counts once, with the more acts"


def test_what_does_not_count_as_healthy() -> None:
    spans = [Span("replay", 1, 1, 9, 9, acts=5), Span("shadow", 2, 1, 9, 9), Span("shadow", 3, 1, 9, 9, faulty=True)]
    history: list[dict[str, Any]] = [
        {"command": "trainer start", "generation": 1},
        {"command": "rollback", "files": [{}], "generation": 2},
        {"command": "rollback", "files": [], "generation": 3},
        {"command": "trainer start", "generation": 4},
    ]
    assert earned.faulty_generations(history) == {1}
    shown = earned.shown_by(spans, earned.faulty_generations(history))
    assert (shown.steps, shown.acts, shown.generations) == (9, 0, 1)


def test_a_shadow_counts_only_what_it_has_watched() -> None:
    span = earned.watched(None, 7, 100)
    for step in (150, 200, 200 + earned.GAP + 1, 200 + earned.GAP + 51):
        span = earned.watched(span, 7, step)
    assert (span.first, span.last, span.steps) == (100, 251 + earned.GAP, 150)
    assert earned.watched(span, 7, 50).steps == 150, "steps that go back"


def test_the_digest_is_of_these_thresholds() -> None:
    digest = earned.policy_digest(BOOK)
    rule = DetectorRule("loss_rel", above=3.0, rows=5, symptom="divergence")
    others = [
        replace(BOOK, detectors={"loss-threshold": rule}),
        replace(BOOK, detectors={}),
        replace(BOOK, acting=Acting(rollbacks=5)),
        replace(BOOK, checks=replace(BOOK.checks, grad_norm_max=9.0)),
        replace(BOOK, metrics=replace(BOOK.metrics, quality="rankic_h5")),
        replace(BOOK, logs=replace(BOOK.logs, errors=BOOK.logs.kinds[1:])),
        replace(BOOK, symptoms={**BOOK.symptoms, "oom": replace(BOOK.symptoms["oom"], detector="leak")}),
    ]
    digests = {digest, *map(earned.policy_digest, others)}
    assert len(digests) == len(others) + 1
    assert earned.policy_digest(replace(BOOK, service="other", contacts=())) == digest


def test_healthy_series_have_no_act() -> None:
    replay = replayed(chain(healthy(3000, 1), healthy(3000, 2)), evaluate=200)
    assert [run.false for run in replay.acts] == [0, 0]
    assert all(2900 <= run.steps <= 3000 for run in replay.acts), "the first rows are not judged"


@pytest.mark.parametrize(
    ("fault", "evaluate", "acts"),
    [
        pytest.param("plus-50", 0, False, id="one column alone"),
        pytest.param("plus-50", 50, True, id="on two evaluations running"),
        pytest.param("nan", 0, False, id="a loss of NaN, without the trainer's event"),
        pytest.param("leak", 50, False, id="the leak detector alone"),
        pytest.param("spike", 50, False, id="a spike"),
        pytest.param("slower-steps", 50, False, id="steps that take longer"),
    ],
)
def test_acts_by_the_metrics_alone(fault: str, evaluate: int, *, acts: bool) -> None:
    [run] = replayed(with_fault(fault, 500, 1500, 3), 500, evaluate).acts
    assert run.false == 0 and (run.acted is not None) == acts
    if run.acted is not None:
        assert 500 + evaluate <= run.acted <= 500 + 25 + 3 * evaluate


def test_two_independent_columns_act_at_once() -> None:
    def both() -> Any:
        for row in with_fault("plus-50", 500, 700, 3):
            norm = row.values["norm"] * (30 if row.step >= 500 else 1)
            yield row._replace(values={**row.values, "norm": norm})

    [run] = replayed(both(), 500).acts
    assert run.acted is not None and run.acted <= 525


def test_an_alarm_that_lasts_is_one_act() -> None:
    """Without `fault_at` it is a false one; and each run has its own."""
    replay = replayed(chain(with_fault("plus-50", 500, 1500, 3), with_fault("plus-50", 500, 1500, 4)), evaluate=50)
    assert [run.false for run in replay.acts] == [1, 1]


def test_the_version_of_the_detectors() -> None:
    """Where a detector decides otherwise than before, its proofs are void: raise VERSION with these figures."""
    found = {
        kind: [(finding.detector, finding.step) for finding in alarms(with_fault(kind, 400, 1200, 5))[1]]
        for kind in ("nan", "infinite-norm", "times-1.1", "plus-50", "spike", "leak", "slower-steps")
    }
    assert earned.VERSION == 1 and found == {
        "nan": [("non-finite", 400)],
        "infinite-norm": [("non-finite", 419)],
        "times-1.1": [("drift", 409), ("explosion", 411)],
        "plus-50": [("drift", 411)],
        "spike": [("spike", 401)],
        "leak": [("leak", 560)],
        "slower-steps": [("step-time", 450)],
    }
