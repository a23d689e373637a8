"""`atftctl watch` as people run it: piped, as JSON, from cron, on a terminal; killed, twice at once, on a full disk."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from atftctl import protocol
from tests.support.projects import Project, wait_for
from tests.support.small_disk import fill, small_disk
from tests.support.watching import Trainer

HEART = ".atftctl/watch.heartbeat.json"
BLOCKED = {"ATFTCTL_TEST_BLOCK": "torch pandas numpy pyarrow arch scipy"}


@pytest.fixture
def trainer(project: Project) -> Trainer:
    made = Trainer(project)
    made.rows(80)
    return made


def beat(project: Project) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(project.read(HEART))
    except (OSError, ValueError):
        return {"step": -1, "t": 0.0, "generation": 0}
    return found


@contextmanager
def watching(project: Project, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A watcher that has looked once."""
    before = beat(project)["t"]
    watcher = project.start("watch", "--interval", "0.1", *options)
    try:
        wait_for(lambda: beat(project)["t"] > before or watcher.poll() is not None)
        yield watcher
    finally:
        if watcher.poll() is None:
            watcher.kill()
        watcher.communicate()


def end(watcher: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Ctrl-C; the exit code and the lines without their times."""
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=30)
    assert not err, err
    return watcher.returncode, [line[8:].strip() for line in out.splitlines()]


def state(project: Project) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(project.read(".atftctl/watch.json"))["body"]
    return body


def test_a_line_for_each_change_and_the_code_of_the_last_verdict(trainer: Trainer) -> None:
    with watching(trainer.project) as watcher:
        trainer.rows(1, loss="nan", loss_rel="nan")
        wait_for(lambda: beat(trainer.project)["step"] == 81)
        time.sleep(0.5)
        code, lines = end(watcher)
    assert code == 1
    assert lines[0].startswith("-     trainer running, pid ") and lines[1] == "ok    healthy"
    assert lines[2] == "!     alarm: loss_rel is nan in step 81" and len(lines) == 4
    assert lines[3] == "FAIL  divergence: Training diverges (likely); run: atftctl rollback --symptom divergence"


def test_the_end_of_the_trainer_is_noticed(trainer: Trainer) -> None:
    watcher = trainer.project.start("watch", "--json")
    assert watcher.stdout
    try:
        said = [json.loads(watcher.stdout.readline()) for _ in range(2)]
        assert [line["kind"] for line in said] == ["trainer", "verdict"] and said[1]["verdict"] == "healthy"
        trainer.event(protocol.OOM, message="no memory", section="step", recoverable=False)
        trainer.kill()
        while said[-1]["symptom"] != "oom":
            said.append(json.loads(watcher.stdout.readline()))
        assert said[-1] | {"time": ""} == {
            "time": "", "kind": "verdict", "text": said[-1]["text"], "verdict": "fault", "symptom": "oom",
            "command": "atftctl rollback --symptom oom", "detector": None, "generation": 1, "step": 80,
        }  # fmt: skip
    finally:
        watcher.kill()
        watcher.communicate()


def test_the_trainer_is_started_again_while_it_is_watched(trainer: Trainer) -> None:
    with watching(trainer.project) as watcher:
        trainer.rows(3, loss="nan", loss_rel="nan")
        trainer.event("saving")
        wait_for(lambda: beat(trainer.project)["step"] == 83)
        trainer.kill()
        for _ in range(2):  # the look that was going on when it was killed, and a whole one after it
            before = beat(trainer.project)["t"]
            wait_for(lambda before=before: beat(trainer.project)["t"] > before)
        trainer.begin()
        trainer.rows(80)
        wait_for(lambda: (beat(trainer.project)["generation"], beat(trainer.project)["step"]) == (2, 80))
        time.sleep(0.5)
        code, lines = end(watcher)
    assert code == 0 and lines[-1] == "ok    healthy", lines
    assert any(line.startswith("-     trainer died") for line in lines)
    assert any("generation 2" in line for line in lines)


def test_only_one_watcher_and_once_beside_it(trainer: Trainer) -> None:
    project = trainer.project
    with watching(project) as watcher:
        second = project.run("watch")
        assert second.code == 3 and f"is watching here (pid {watcher.pid}, since " in second.err, second
        kept = project.read(".atftctl/watch.json")
        once = project.run("watch", "--once", env=BLOCKED)
        assert once.code == 0 and once.out.startswith("healthy: the trainer runs, step 80"), once
        assert f"is watching here (pid {watcher.pid}" in once.err
        assert project.run("status").code == 0 and project.run("trainer", "stop").code == 0, "others go on"
        assert project.read(".atftctl/watch.json") == kept or watcher.poll() is None
        end(watcher)
    assert project.run("watch", "--once").code == 0, "the lock ended with its process"


def test_once_feeds_what_is_new_and_keeps_it(trainer: Trainer) -> None:
    project = trainer.project
    first = project.run("watch", "--once", "--json")
    assert first.code == 0 and first.json["data"]["verdict"] == "healthy" and first.json["data"]["kept"]
    rows = state(project)["rows"]["total"]
    trainer.rows(1, loss="nan", loss_rel="nan")
    second = project.run("watch", "--once")
    assert second.code == 1 and "alarm: loss_rel is nan in step 81" in second.out, second
    assert "next: atftctl rollback --symptom divergence" in second.out and "contact: " in second.out
    assert state(project)["rows"]["total"] == rows + 1
    third = project.run("watch", "--once", "--json")
    assert third.code == 1 and third.json["data"]["alarms"] == [], "an alarm is told once"
    assert third.json["data"]["diagnosis"]["cause"]["symptom"] == "divergence"


def test_once_without_a_trainer_and_blind(project: Project) -> None:
    done = project.run("watch", "--once")
    assert done.code == 6 and "can't tell: atftctl has not started a trainer here" in done.out
    assert not (project.root / HEART).exists() and not (project.root / ".atftctl" / "watch.json").exists()


def test_blind_it_says_so_once_and_its_heart_stops(trainer: Trainer) -> None:
    project = trainer.project
    with watching(project) as watcher:
        os.utime(project.root / protocol.METRICS, (time.time() - 4000,) * 2)
        time.sleep(1)
        stopped = beat(project)["t"]
        time.sleep(0.7)
        assert beat(project)["t"] == stopped
        trainer.rows(1)
        wait_for(lambda: beat(project)["t"] > stopped)
        time.sleep(0.3)
        code, lines = end(watcher)
    blind = [line for line in lines if "can't see" in line]
    assert code == 0 and len(blind) == 1 and "s old, and the trainer runs" in blind[0]
    assert "ok    sees the trainer" in lines


def test_killed_at_random_instants_it_has_seen_the_same(trainer: Trainer) -> None:
    project, rng = trainer.project, random.Random(5)
    for _ in range(6):
        watcher = project.start("watch", "--interval", "0.1")
        until = time.monotonic() + 0.5 + rng.random()
        while time.monotonic() < until:
            trainer.rows(rng.randrange(8), **({"loss_rel": 90} if rng.random() < 0.3 else {}))
            time.sleep(0.03)
        watcher.kill()
        watcher.communicate()
    assert project.run("watch", "--once").code in (0, 1)
    killed = state(project)
    (project.root / ".atftctl" / "watch.json").unlink()
    project.run("watch", "--once")
    unkilled = state(project)
    assert killed["total"] > 2 and killed["rows"]["total"] == trainer.step
    for part in ("detectors", "alarms", "total"):
        assert killed[part] == unkilled[part], part


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 1, "sha256": "0", "body": {}}', b"\xff" * 99])
def test_a_damaged_state_is_begun_anew(trainer: Trainer, damage: bytes) -> None:
    project = trainer.project
    trainer.rows(1, loss="nan", loss_rel="nan")
    project.write(".atftctl/watch.json", damage)
    done = project.run("watch", "--once")
    assert done.code == 1 and "the watcher's state can't be read" in done.err and "alarm: loss_rel is nan" in done.out
    again = project.run("watch", "--once")
    assert again.code == 1 and not again.err and "alarm: " not in again.out


def test_a_state_that_leads_elsewhere_is_not_followed(trainer: Trainer) -> None:
    project = trainer.project
    assert project.run("watch", "--once").code == 0
    path, other = project.root / ".atftctl" / "watch.json", project.root / "elsewhere.json"
    path.rename(other)
    path.symlink_to(other)
    done = project.run("watch", "--once")
    assert done.code == 3 and "watch.json is a symlink" in done.err, done


def test_stopped_and_continued(trainer: Trainer) -> None:
    with watching(trainer.project) as watcher:
        watcher.send_signal(signal.SIGSTOP)
        trainer.rows(30)
        time.sleep(0.5)
        watcher.send_signal(signal.SIGCONT)
        wait_for(lambda: beat(trainer.project)["step"] == 110)
        code, lines = end(watcher)
    assert code == 0 and lines[-1] == "ok    healthy", lines


def test_nobody_reads_any_more(trainer: Trainer) -> None:
    watcher = trainer.project.start("watch", "--interval", "0.1")
    assert watcher.stdout and watcher.stderr
    watcher.stdout.readline()
    watcher.stdout.close()
    assert watcher.wait(timeout=30) == 0 and not watcher.stderr.read()
    watcher.stderr.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_does_not_end_it(tmp_path: Path) -> None:
    from tests.support.projects import make_project

    with small_disk(tmp_path / "disk") as disk:
        project = make_project(disk / "project", tmp_path / "violations")
        trainer = Trainer(project)
        trainer.rows(80)
        metrics = project.root / protocol.METRICS
        with watching(project) as watcher:
            trainer.rows(1)
            metrics.write_bytes(metrics.read_bytes() + b" " * 4096)  # room for the rows that follow
            fill(disk)
            time.sleep(0.5)
            with metrics.open("r+b") as file:
                file.seek(-4096, os.SEEK_END)
                file.write(b"82,0,nan,nan,0.5,100,1\n")
            time.sleep(1)
            for name in disk.glob("fill*"):
                name.unlink()
            time.sleep(1)
            code, lines = end(watcher)
        os.kill(trainer.pid, signal.SIGKILL)
    problems = [line for line in lines if "No space left" in line]
    assert code == 1 and len(problems) == 1 and "it goes on watching" in problems[0], lines
    assert any("alarm: loss_rel is nan in step 82" in line for line in lines), lines


def test_the_way_to_end_it_works_for_one_in_the_background(trainer: Trainer) -> None:
    """A shell script starts what is in the background with Ctrl-C ignored; the hint of a second watcher ends it."""
    project = trainer.project
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        watcher = project.start("watch", "--interval", "0.1")
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for(lambda: beat(project)["step"] == 80 or watcher.poll() is not None)
    second = project.run("watch")
    assert f"to end it: kill {watcher.pid}" in second.err, second
    watcher.terminate()
    assert watcher.wait(timeout=30) == 0
    watcher.communicate()


def test_lines_that_cant_be_written_do_not_end_it(trainer: Trainer) -> None:
    """Its lines go to a log on a full disk: it goes on, and acts where that is asked for."""
    project = trainer.project
    with Path("/dev/full").open("w") as full:
        watcher = subprocess.Popen(
            project.argv("watch", "--interval", "0.1"), cwd=project.root, env=project.env, stdin=subprocess.DEVNULL,
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    wait_for(lambda: beat(project)["step"] == 80 or watcher.poll() is not None)
    trainer.rows(1, loss="nan", loss_rel="nan")
    wait_for(lambda: beat(project)["step"] == 81 or watcher.poll() is not None)
    trainer.rows(1)
    wait_for(lambda: beat(project)["step"] == 82 or watcher.poll() is not None)  # so the look before has ended
    watcher.send_signal(signal.SIGINT)
    assert watcher.communicate(timeout=30)[1] == "" and watcher.returncode == 1


def test_needs_neither_torch_nor_pandas(trainer: Trainer) -> None:
    done = trainer.project.run("watch", "--once", env=BLOCKED)
    assert done.code == 0, done


def test_status_says_whether_a_watcher_runs_and_sees(trainer: Trainer) -> None:
    project = trainer.project
    assert project.run("status", "--json").json["data"]["watcher"] is None
    with watching(project) as watcher:
        shown = project.run("status")
        assert f"watcher: watch, pid {watcher.pid}, its heartbeat is " in shown.out, shown
        data = project.run("status", "--json").json["data"]["watcher"]
        assert (data["running"], data["sees"], data["pid"]) == (True, True, watcher.pid) and data["age_s"] < 30
        end(watcher)
    assert "watcher: none runs, last looked " in project.run("status").out
    written = json.loads(project.read(HEART))
    assert written["every"] == 0.1
    project.write(HEART, json.dumps({"t": time.time() - 7200, "pid": 1, "step": 1}))
    trainer.kill()
    (project.root / ".atftctl" / "process.json").unlink()
    watcher = project.start("watch")
    try:
        assert watcher.stdout and "never started" in watcher.stdout.readline()
        assert "can't see the trainer since 2 h" in project.run("status").out
        project.write(HEART, json.dumps({"t": time.time() - 7200, "pid": 1, "step": 1, "every": 3600}))
        assert "its heartbeat is 2 h old" in project.run("status").out, "it looks once an hour"
    finally:
        watcher.kill()
        watcher.communicate()
