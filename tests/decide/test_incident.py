"""The pure parts of the page of an incident."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from atftctl.decide.incident.binned import side
from atftctl.decide.incident.cost import cost
from atftctl.decide.incident.timeline import timeline
from atftctl.domain.alert import Alert, Conclusion, Notification, ReceivedAlert
from atftctl.domain.incident import Placed, Recorded, recorded
from atftctl.domain.run_rows import Row

ENTRY: dict[str, Any] = {
    "operation": "20261130_101500-abcd", "command": "rollback", "title": "Out of memory", "operator": "a@b",
    "started": "2026-11-30T10:15:00+00:00", "ended": "2026-11-30T10:15:03+00:00", "outcome": "done", "exit_code": 0,
    "generation": 2, "parts": {"decide": 1.5, "evidence": 0.2, "stop": 0.5, "files": 0.1, "start": 0.1, "first step": 1.0},
    "first_step": {"event": "first_step", "t": 1_796_033_702.5, "step": 201, "digest": "d" * 64},
}  # fmt: skip
BEGAN = 1_796_033_700.0  # 10:15:00


def rows(values: dict[int, float]) -> list[Row]:
    return [Row(step, 1, {"loss": value}) for step, value in values.items()]


def points(lines: tuple[tuple[tuple[int, float], ...], ...]) -> dict[int, float]:
    return {step: value for line in lines for step, value in line}


def test_spikes_stay_and_points_are_few() -> None:
    values = {step: 1.0 + step % 3 / 100 for step in range(1, 50_001)} | {20_000: 9.0, 41_234: -5.0}
    made = side(rows(values), "loss", 240)
    drawn = points(made.lines)
    assert drawn[20_000] == 9.0 and drawn[41_234] == -5.0 and len(drawn) <= 2 * 240
    assert len(made.lines) == 1 and made.count == 50_000 and made.bad == 0
    assert (made.least, made.greatest, made.median, made.last) == (-5.0, 9.0, 1.01, values[50_000])


def test_a_curve_is_broken_at_values_that_are_not_finite_and_where_rows_are_missing() -> None:
    values = dict.fromkeys(range(1, 31), 1.0) | {10: math.nan, 11: math.inf}
    del values[20]  # one row that is missing is no gap
    for step in (22, 23, 24, 25, 26, 27):
        del values[step]
    made = side(rows(values), "loss", 240)
    assert [(line[0][0], line[-1][0]) for line in made.lines] == [(1, 9), (12, 21), (28, 30)]
    assert made.broken == (10, 11) and made.bad == 2


def test_no_data_of_any_kind_makes_many_pieces() -> None:
    values = {step: math.nan if step % 2 else float(step) for step in range(1, 50_001)}
    made = side(rows(values), "loss", 100)
    assert len(made.lines) <= 200 and len(made.broken) <= 100 and made.bad == 25_000
    assert side(rows({1: math.nan}), "loss", 10).lines == ()
    assert side([], "loss", 10).count == 0 and side(rows({1: 1.0}), "other", 10).count == 0
    single = side(rows({5: 2.0}), "loss", 10)
    assert single.lines == (((5, 2.0),),) and single.median == 2.0
    steady = side(rows({step * 100: 1.0 for step in range(1, 50)}), "loss", 30)
    assert len(steady.lines) == 1  # rows of each hundredth step leave no gap


def event(name: str, at: float, step: int, **more: object) -> dict[str, Any]:
    return {"event": name, "t": at, "step": step, **more}


def test_the_timeline_is_in_order_and_says_what_is_reckoned() -> None:
    before = [event("started", BEGAN - 100, 0), event("oom", BEGAN + 0.4, 400, message="no memory")]
    after = [event("first_step", BEGAN + 2.5, 201), event("anomaly", BEGAN + 60, 300, quantity="loss", value="nan")]
    undo = recorded({**ENTRY, "operation": "x", "command": "undo", "started": "2026-11-30T11:00:00+00:00"})
    moments = timeline(recorded(ENTRY), before, after, (), (), [undo])
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    kinds = [moment.kind for moment in moments]
    assert kinds[:2] == ["sign", "sign"] and kinds[2] == "decision"  # not before what it knew
    assert kinds[-2:] == ["later", "later"] and "undo" in moments[-1].text and "nan" in moments[-2].text
    assert kinds.index("proof") < len(kinds) - 3


def test_the_alert_that_began_an_incident_is_in_its_timeline() -> None:
    sent = Notification("k", "firing", (Alert("firing", "f", ""),))
    came = [datetime.fromtimestamp(BEGAN + at, UTC).isoformat() for at in (-5, 50)]
    alerts = [ReceivedAlert("a", "alertmanager", at, sent, Conclusion("fault", "oom: h")) for at in came]
    moments = timeline(
        recorded(ENTRY), [], [], (), (), [], [*alerts, ReceivedAlert("b", "alertmanager", came[0], sent)]
    )
    told = [(moment.kind, moment.text) for moment in moments if "alert" in moment.text]
    assert told == [("sign", "alert ?; diagnosis: oom: h"), ("later", "alert ?; diagnosis: oom: h")]
    assert {moment.about for moment in moments if moment.kind == "change"} == {True, False}


@pytest.mark.parametrize(
    "odd",
    [
        {"parts": {"stop": "soon", "files": float("nan"), "start": -1, 5: 1.0}}, {"parts": [1]}, {"started": "yesterday"},
        {"first_step": {"t": "x", "step": "many"}}, {"first_step": 5}, {"generation": True}, {"exit_code": "0"},
        {"about": "text"}, {"ended": None, "started": None}, {"generation": -4}, {"started": "9999-12-31T23:59:59+00:00"},
    ],
)  # fmt: skip
def test_a_record_of_another_version_is_read_as_far_as_it_goes(odd: dict[str, Any]) -> None:
    operation = recorded({**ENTRY, **odd})
    timeline(operation, [], [], (), (), [])
    cost(operation, {"step": "x"}, [event("stopped", 5.0, -1)], [event("started", 5.0, 1 << 70)], Placed(), "step_s")


def test_what_it_cost() -> None:
    operation = recorded(ENTRY)
    before = [event("oom", BEGAN - 30, 260), event("stopped", BEGAN - 20, 260, exit_code=11)]
    placed = Placed(before=[Row(step, 1, {"step_s": 0.5}) for step in range(1, 251)])
    spent = cost(
        operation, {"state": "died", "step": 255}, before, [event("started", BEGAN + 2, 200)], placed, "step_s"
    )
    assert (spent.steps, spent.training_s, spent.down_s) == (60, 30.0, 22.5)
    assert spent.took_s == pytest.approx(3.4)
    unknown = cost(operation, {}, [], [], Placed(), "")
    assert (unknown.steps, unknown.training_s, unknown.down_s) == (None, None, None)
    running = cost(operation, {"state": "running", "step": 255}, [], [], placed, "")
    assert (running.steps, running.training_s, round(running.down_s or 0, 2)) == (
        55,
        None,
        2.3,
    )  # it went on from step 200
    no_trainer = cost(Recorded("x", "restore", ""), {}, [], [], Placed(), "")
    assert no_trainer.steps == 0 and no_trainer.down_s is None
