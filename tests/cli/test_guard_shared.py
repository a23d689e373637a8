"""`guard --pattern` beside a program that writes events or metrics itself: what it writes is left to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from atftctl import protocol
from atftctl.protocol.run_files import RunFiles
from atftctl.protocol.shared_files import SharedFiles
from tests.cli.test_guard_pattern import PATTERN, events, guard, names, program
from tests.support.projects import RUNBOOK, Project

SPEAKS = """
import os, time
from pathlib import Path
from atftctl import protocol
from atftctl.protocol.run_files import RunFiles
files = RunFiles(Path(protocol.EVENTS), Path(protocol.METRICS), Path(protocol.HEARTBEAT), run_id=os.environ[protocol.RUN_ID])
files.event("started", digest="0" * 64)
files.begin_metrics(["step", "own"])
for step in range(5):
    files.step = step
    files.rows([{"step": step, "own": 1.5}])
    files.beat("mine", 60.0)
    print(f"iter {step}: loss 1.0, time 20ms", flush=True)
    time.sleep(0.05)
files.event("stopped", exit_code=0, reason="finished")
"""


def test_a_program_that_speaks_is_not_talked_over(project: Project) -> None:
    running = guard(project, "python3", program(project, SPEAKS))
    assert running.wait(60) == 0, running.stderr.read()
    assert names(project) == ["started", "started", "stopped"]
    text = (project.root / protocol.METRICS).read_text()
    assert text.splitlines()[0] == "step,own,generation" and len(text.splitlines()) == 6
    assert "mine" in (project.root / protocol.HEARTBEAT).read_text()


def test_metrics_that_are_named_or_of_others_are_left_alone(project: Project) -> None:
    own = "epoch,loss\n1,0.5\n"
    project.write(protocol.METRICS, own)
    running = guard(project, "python3", program(project), "3")
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0 and b"columns that guard did not write" in errors
    assert project.read(protocol.METRICS).decode() == own
    assert names(project)[-1] == "stopped" and "first_step" in names(project)
    (project.root / protocol.METRICS).unlink()
    project.replace(RUNBOOK, "\nmetrics:\n", "\nmetrics:\n  files: [out/log.csv]\n")
    running = guard(project, "python3", program(project), "3")
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0 and not errors and not (project.root / protocol.METRICS).exists()
    assert events(project)[-1]["step"] == 2 and PATTERN


@pytest.mark.parametrize("how", ["first", "appended", "renamed", "fifo"])
def test_rows_end_where_another_program_writes_them(tmp_path: Path, how: str) -> None:
    places = (tmp_path / "events", tmp_path / "metrics", tmp_path / "beat")
    files, metrics = SharedFiles(*places, run_id="r"), places[1]
    if how == "fifo":
        os.mkfifo(metrics)
    files.expect_metrics(["step"])
    if how == "first":
        metrics.write_text("step,loss\n")
    files.rows([{"step": 1}])
    if how == "appended":
        with metrics.open("a") as file:
            file.write("9,9\n")
    elif how == "renamed":
        metrics.rename(tmp_path / "metrics.1")
        metrics.write_text("step,loss\n")
    files.rows([{"step": 2}])
    assert files.others_metrics == (how != "fifo")
    expected = {"first": "step,loss\n", "appended": "step,generation\n1,0\n9,9\n", "renamed": "step,loss\n"}
    if how != "fifo":
        assert metrics.read_text() == expected[how]


def test_events_of_another_run_are_no_word_of_the_program(tmp_path: Path) -> None:
    places = (tmp_path / "events", tmp_path / "metrics", tmp_path / "beat")
    files, old, own = (
        SharedFiles(*places, run_id="new"),
        RunFiles(*places, run_id="old"),
        RunFiles(*places, run_id="new"),
    )
    files.event("started")
    old.event("stopped")
    files.event("first_step")
    assert not files.speaks
    own.event("started")
    files.event("anomaly")
    assert files.speaks and "anomaly" not in places[0].read_text()
    files.event("stopped")
    assert places[0].read_text().count("stopped") == 2
