"""Files of a run that logrotate copies and then empties (`copytruncate`): the writer goes on in the emptied file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from atftctl import protocol
from atftctl.domain.metric_rules import MetricsSince
from atftctl.hooks.reporter import MetricsFile, event_line
from atftctl.observe.metrics.following import RowFollower, followed_since
from atftctl.observe.metrics.run_rows import run_rows
from atftctl.observe.trainer_run.event_log import events


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run of generation 1, and then the start of another one."""
    (tmp_path / "logs").mkdir()
    (tmp_path / ".atftctl").mkdir()
    (tmp_path / protocol.METRICS).write_text("step,loss,generation\n" + "".join(f"{step},1.5,1\n" for step in range(9)))
    (tmp_path / protocol.EVENTS).write_bytes(event_line("first_step", t=1.0, run_id="a", step=1) * 3)
    (tmp_path / ".atftctl/process.json").write_text("{}")
    return tmp_path


def append(root: Path, first: int, last: int) -> None:
    with (root / protocol.METRICS).open("a") as file:
        file.writelines(f"{step},0.5,2\n" for step in range(first, last))


def empty(path: Path, number: int = 1) -> Path:
    """As logrotate does with `copytruncate`."""
    copy = path.with_name(f"{path.name}.{number}")
    shutil.copyfile(path, copy)
    os.truncate(path, 0)
    return copy


def steps(root: Path, facts: os.stat_result) -> tuple[list[int], int]:
    rows = run_rows(root, ["loss"], offset=facts.st_size, inode=facts.st_ino, generation=2)
    return [row.step for row in rows.rows], rows.torn


def test_rows_of_before_are_read_and_the_header_is_known(root: Path) -> None:
    facts = (root / protocol.METRICS).stat()
    append(root, 9, 40)
    copy = empty(root / protocol.METRICS)
    append(root, 40, 43)
    assert steps(root, facts) == ([*range(9, 43)], 0)
    os.utime(copy, ns=(1, 1))  # of another run: without a copy there are fewer rows, and still their names
    assert steps(root, facts) == ([40, 41, 42], 0)
    follower = RowFollower(root, ("loss",), "", 2, followed_since(MetricsSince(facts.st_size, facts.st_ino)))
    assert [row.step for rows in follower.read() for row in rows] == [40, 41, 42], "a watcher that did not run by then"


def test_events_of_before_are_read(root: Path) -> None:
    path = root / protocol.EVENTS
    facts = path.stat()
    with path.open("ab") as file:
        file.write(event_line("first_step", t=1.0, run_id="b", step=2) * 5)
    empty(path)
    path.write_bytes(event_line("checkpoint", t=1.0, run_id="b", step=3))
    names = [event["event"] for event in events(root, offset=facts.st_size, inode=facts.st_ino, run_id="b")]
    assert names == ["first_step"] * 5 + ["checkpoint"]


def test_the_reporter_writes_the_header_again(root: Path) -> None:
    path = root / protocol.METRICS
    metrics = MetricsFile(path, ["step", "loss", "generation"])
    metrics.begin()
    empty(path)
    for step in (1, 2):
        assert metrics.append([{"step": step, "loss": 0.5}]) is None
    assert path.read_text() == "step,loss,generation\n1,0.5,\n2,0.5,\n"
