"""Retention is a pure function; what it never takes is never taken, whatever the policy says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from atftctl.decide.retention import reasons
from atftctl.domain.runbook import Keep, span_s
from atftctl.domain.snapshot import Passed, Snapshot

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = {"last": 0, "hourly": 0, "daily": 0, "weekly": 0, "monthly": 0, "within": "0"}


def snapshot(hours: float, *, operation: str = "", good: bool = False, pinned: bool = False) -> Snapshot:
    at = BEGIN + timedelta(hours=hours)
    passed = Passed(at.isoformat()) if good else None
    return Snapshot(
        f"s{hours:g}{operation}", at.isoformat(), "", "", (), operation=operation, passed=passed, pinned=pinned
    )


def kept(snapshots: list[Snapshot], needed: tuple[str, ...] = (), **policy: object) -> list[str]:
    return [name for name, why in reasons(snapshots, Keep(**{**NOTHING, **policy}), needed).items() if why]  # type: ignore[arg-type]


def test_each_rule_by_itself() -> None:
    every_six_hours = [snapshot(6 * at) for at in range(4 * 30)]  # thirty days
    assert kept(every_six_hours, last=3) == ["s702", "s708", "s714"]
    assert kept(every_six_hours, daily=2) == ["s690", "s714"], "the newest of each day"
    assert kept(every_six_hours, hourly=2) == ["s708", "s714"]
    assert kept(every_six_hours, weekly=2) == ["s594", "s714"], "weeks begin on Monday: 25 January 2026 is a Sunday"
    assert kept(every_six_hours, within="1d") == ["s696", "s702", "s708", "s714"]
    assert kept([snapshot(0), snapshot(24 * 40)], monthly=12) == ["s0", "s960"]


def test_safety_snapshots_do_not_push_out_what_was_asked_for() -> None:
    asked = snapshot(0)
    busy = [snapshot(1 + at / 10, operation="op") for at in range(50)]
    assert "s0" in kept([asked, *busy], last=2)
    assert len(kept([asked, *busy], last=2)) == 3


def test_a_clock_that_jumped_ahead_makes_nothing_old() -> None:
    assert kept([snapshot(0), snapshot(1)], within="2d") == ["s0", "s1"]


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 3),
)
def test_what_is_never_taken(rows: list[tuple[int, bool, bool, bool]], last: int) -> None:
    snapshots = [
        snapshot(hour, operation=f"op{at}" if safety else "", good=good, pinned=pinned)
        for at, (hour, safety, good, pinned) in enumerate(sorted(set(rows)))
    ]
    snapshots = list({one.id: one for one in snapshots}.values())
    found = set(kept(snapshots, (snapshots[0].id,), last=last))
    assert snapshots[0].id in found, "needed by undo"
    assert {one.id for one in snapshots if one.pinned} <= found
    good = [one.id for one in snapshots if one.verified]
    assert not good or good[-1] in found


def test_spans() -> None:
    assert [span_s(text) for text in ("36h", "2d", "1w", "0", "x", "", "-1d", "1m")] == [
        129600.0, 172800.0, 604800.0, 0.0, None, None, None, None,
    ]  # fmt: skip
