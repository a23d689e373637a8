"""Changes that wait: how much time is left, on which clock; durations; and where a process outlives its session."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from atftctl.domain.duration import about_text, duration_text, seconds_of
from atftctl.domain.errors import Refused
from atftctl.domain.pending import Moment, PendingChange
from atftctl.host.process import scopes
from atftctl.state import pending
from atftctl.state.layout import Layout

NOON = datetime.fromisoformat("2026-11-30T12:00:00+09:00")
CHANGE = PendingChange("20261130_115000-ab12", "rollback", "t", "ada@host", "", NOON.isoformat(), 600, 5000.0, "boot",
                       (NOON + timedelta(minutes=10)).isoformat())  # fmt: skip


@pytest.mark.parametrize(
    ("boottime", "boot", "wall", "left_s"),
    [
        (4400.0, "boot", NOON, 600),
        (4990.0, "boot", NOON + timedelta(days=400), 10),  # somebody set the clock: nothing changes
        (4990.0, "boot", NOON - timedelta(days=400), 10),
        (5001.5, "boot", NOON, -1.5),
        (4000.0, "boot", NOON, 600),  # never more than was asked for
        (10.0, "other", NOON + timedelta(minutes=4), 360),  # after a reboot: the time of day
        (10.0, "other", NOON + timedelta(minutes=11), -60),
        (10.0, "other", NOON - timedelta(days=400), 600),  # with a clock that was set back
        (10.0, "other", (NOON + timedelta(minutes=4)).astimezone(), 360),
    ],
)
def test_the_time_that_is_left(boottime: float, boot: str, wall: datetime, left_s: float) -> None:
    assert CHANGE.left_s(Moment(boottime, boot, wall)) == left_s


def test_the_clock_of_this_machine() -> None:
    first, second = pending.moment(), pending.moment()
    assert 0 <= second.boottime - first.boottime < 60 and first.boot == second.boot and first.wall.tzinfo


@pytest.mark.parametrize("field", [{"within_s": "600"}, {"deadline_at": "2026-11-30T12:00:00"}, {"deadline_at": "soon"},
                                   {"operation": "../../etc"}, {"restart": 1}, {"operator": None}, {"deadline": "1"}])  # fmt: skip
def test_a_wrong_record_is_refused(root: Path, field: dict[str, object]) -> None:
    from atftctl.state import sealed_records

    layout = Layout(root, root / "runbooks/none.yaml")
    layout.state.mkdir()
    assert pending.read(layout) is None
    pending.write(layout, CHANGE)
    assert pending.read(layout) == CHANGE
    layout.pending.write_bytes(sealed_records.seal({**CHANGE.to_json(), **field}))
    with pytest.raises(Refused, match="can't be read"):
        pending.read(layout)
    layout.pending.unlink()
    layout.pending.symlink_to("/etc/passwd")
    with pytest.raises(Refused):
        pending.read(layout)


def test_durations() -> None:
    assert [seconds_of(text, "--x") for text in ("1s", "90s", "10m", "2h", "168h")] == [1, 90, 600, 7200, 604_800]
    assert [duration_text(s) for s in (1, 90, 600, 5400, 7200)] == ["1 s", "90 s", "10 min", "90 min", "2 h"]
    assert [about_text(s) for s in (-3, 0.9, 119.9, 120, 3599, 7199, 7200)] == [
        "0 s", "0 s", "119 s", "2 min", "59 min", "119 min", "2 h",
    ]  # fmt: skip


def test_a_scope_only_where_it_outlives_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    program, booted, linger = tmp_path / "systemd-run", tmp_path / "booted", tmp_path / "linger"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    linger.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.getuid()))

    def command(uid: int) -> tuple[str, ...]:
        return scopes.scope_command(booted=booted, linger=linger, uid=uid)

    assert command(0) == (), "systemd is not the init process"
    booted.mkdir()
    assert command(0)[:2] == (str(program), "--scope") and "--user" not in command(0)
    assert command(user.pw_uid) == (), "the user's scopes end with the last session"
    (linger / user.pw_name).touch()
    assert "--user" in command(user.pw_uid) and command(user.pw_uid)[-1] == "--"
    assert command(4_000_000_000) == ()
    program.unlink()
    assert command(0) == ()
