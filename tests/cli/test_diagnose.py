"""`atftctl diagnose` as people run it: on a trainer that is well, has died or lies, and with everything else broken."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from typing import Any

import pytest

from tests.support import metrics
from tests.support.projects import Ended, Project, wait_for

ROWS = 80
BLOCKED = {"ATFTCTL_TEST_BLOCK": "torch pandas numpy pyarrow arch scipy"}


def rows(project: Project) -> int:
    path = project.root / metrics.FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def pause(project: Project, count: int = ROWS) -> int:
    """Start the trainer and stop its clock after some rows: it is alive, and writes nothing more."""
    before = rows(project)
    project.start_trainer()
    wait_for(lambda: rows(project) > before + count)
    pid: int = project.record()["pid"]
    os.kill(pid, signal.SIGSTOP)
    return pid


def died(project: Project, behaviour: str) -> None:
    project.behave(behaviour)
    project.run("trainer", "start")
    wait_for(lambda: project.run("trainer", "status", "--json").json["data"]["state"] == "died")


def data(done: Ended) -> dict[str, Any]:
    found: dict[str, Any] = done.json["data"]
    return found


def test_healthy_and_changes_nothing(project: Project) -> None:
    pause(project)
    before = project.tree()
    with open(project.root / ".atftctl" / "lock", "ab") as lock:  # somebody rolls back meanwhile
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = project.run("diagnose")
    assert done.code == 0 and done.out.startswith("healthy: the trainer runs") and not done.err, done
    assert project.tree() == before
    assert data(project.run("diagnose", "--json"))["verdict"] == "healthy"


def test_nothing_was_started(project: Project) -> None:
    done = project.run("diagnose")
    assert done.code == 6 and "can't tell: atftctl has not started a trainer here" in done.out


def test_out_of_memory_and_the_command_that_helps(project: Project) -> None:
    died(project, "oom")
    done = project.run("diagnose")
    assert done.code == 1 and "oom: Out of memory (certain)" in done.out, done
    assert "next: atftctl rollback --symptom oom" in done.out and "contact: " in done.out
    found = data(project.run("diagnose", "--json"))
    assert found["cause"]["symptom"] == "oom" and found["cause"]["evidence"][0]["strength"] == "proof"
    assert project.run(*found["cause"]["command"].split()[1:], "--dry-run").code == 0


def test_a_loss_that_is_no_number(project: Project) -> None:
    died(project, "bad-if:improvements.use_ema=true")
    found = data(project.run("diagnose", "--json"))
    assert found["cause"]["symptom"] == "divergence" and found["cause"]["confidence"] == "certain"
    assert {sign["source"] for sign in found["cause"]["evidence"]} == {"events", "metrics"}
    assert "non-finite" in found["detectors"]


def test_a_bare_kill_is_no_cause(project: Project) -> None:
    os.kill(pause(project), signal.SIGKILL)
    project.write("logs/trainer.out", "Killed\n")
    done = project.run("diagnose")
    assert done.code == 6 and "can't tell: the trainer has died, and nothing that was seen says why" in done.out, done
    assert "to start it again: atftctl trainer start" in done.out, done


def test_a_dangling_event_of_an_earlier_run_says_nothing(project: Project) -> None:
    """A detector that stays true after a restart would stop every run."""
    old = {"v": 1, "t": time.time() - 9000, "pid": 1, "run_id": "earlier", "generation": 1, "step": 50}
    dangling = [{**old, "event": "saving"}, {**old, "event": "hang", "section": "save", "seconds": 900}]
    dangling += [{**old, "event": "oom", "message": "no memory", "recoverable": False}]
    project.write("logs/events.jsonl", "".join(json.dumps(event) + "\n" for event in dangling))
    project.write("logs/heartbeat.json", json.dumps({**old, "section": "save", "limit_s": 1}))
    pause(project)
    # also where a rotation has lost the position at the start, so that the whole file is read
    project.write("logs/events.jsonl", project.read("logs/events.jsonl"))
    assert project.run("diagnose").code == 0


def test_metrics_of_an_earlier_generation_say_nothing(project: Project) -> None:
    bad = "".join(f"{step},0,nan,nan,inf,100,1\n" for step in range(1, 60))
    project.write(metrics.FILE, f"step,epoch,loss,loss_rel,grad_norm,rss_mb,generation\n{bad}")
    project.write(".atftctl/generation", "1\n")
    pause(project)
    assert project.run("diagnose").code == 0
    moved = project.root / "logs" / "metrics.moved"
    moved.write_bytes(project.read(metrics.FILE))
    moved.rename(project.root / metrics.FILE)  # another file: the position at the start is of no use
    assert project.run("diagnose").code == 0


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("missing", "no metrics of this run"),
        ("stale", "s old, and the trainer runs"),
        ("future", "in the future"),
        ("later", "of a newer trainer"),
        ("torn", "are torn"),
        ("unreadable", "can't be read"),
    ],
)
def test_metrics_that_lie_are_no_health(project: Project, fault: str, text: str) -> None:
    pause(project)
    path = project.root / metrics.FILE
    match fault:
        case "missing":
            path.unlink()
        case "stale":
            os.utime(path, (time.time() - 4000,) * 2)
        case "future":
            os.utime(path, (time.time() + 4000,) * 2)
        case "later":
            with path.open("ab") as file:
                file.write(b"1,0,1.0,1.0,0.5,100,999\n")
        case "torn":
            with path.open("ab") as file:
                file.write(b"5,0,1.0\n" * 40)
        case "unreadable":
            path.unlink()
            os.mkfifo(path)
    done = project.run("diagnose")
    assert done.code == 6 and text in done.out and "healthy" not in done.out, done


def test_a_line_that_is_being_written_is_left_out(project: Project) -> None:
    pause(project)
    with (project.root / metrics.FILE).open("ab") as file:
        file.write(b"9999,0,nan")
    assert project.run("diagnose").code == 0


def test_the_first_cause_in_the_logs(project: Project) -> None:
    os.kill(pause(project), signal.SIGKILL)
    project.write(
        "logs/trainer.out",
        "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Bus error. It is possible that dataloader's "
        "workers are out of shared memory. Please try to raise your shared memory limit.\n"
        "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: 1) local_rank: 0 (pid: 7) of binary: x\n"
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n",
    )
    found = data(project.run("diagnose", "--json"))
    assert (found["cause"]["name"], found["cause"]["confidence"]) == ("loader-shared-memory", "likely")
    assert any("teardown" in note["text"] for note in found["notes"])


def test_from_when_on(project: Project) -> None:
    died(project, "oom")
    project.behave()
    pause(project)
    assert project.run("diagnose").code == 0, "the run before was another one"
    shown = project.run("diagnose", "--since", "1h")
    assert shown.code == 0 and "an earlier run ended: out of memory" in shown.out, shown
    for wrong in ("soon", "2100-01-01"):
        assert project.run("diagnose", "--since", wrong).code == 2


def test_with_every_heavy_package_broken_and_the_runbook_too(project: Project) -> None:
    died(project, "oom")
    assert project.run("diagnose", env=BLOCKED).code == 1
    project.replace("runbooks/atft-gat-fan.yaml", "memory: rss_mb", "memory: rss_mbb")
    done = project.run("diagnose", env=BLOCKED)
    assert done.code == 1 and "oom: Out of memory (certain)" in done.out, done


def test_events_of_any_content_are_survived(project: Project) -> None:
    os.kill(pause(project), signal.SIGKILL)
    run = project.record()["run_id"]
    odd: list[dict[str, Any]] = [
        {"event": "stopped", "exit_code": ["x"], "reason": {"a": 1}},
        {"event": "oom", "message": ["x"], "step": "x", "recoverable": 0, "card": 7},
        {"event": "anomaly", "quantity": {}, "value": [], "t": 1e300},
        {"event": "recovered", "message": None, "t": -1e300},
        {"event": "hang", "section": [], "seconds": "x"},
    ]
    with (project.root / "logs" / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"t": time.time(), "run_id": run, **event}) + "\n" for event in odd)
    done = project.run("diagnose", "--json")
    assert done.code == 1 and not done.err and done.json["data"]["verdict"] == "fault", done


def test_a_pattern_of_the_runbook_that_takes_for_ever_ends(project: Project) -> None:
    project.replace(
        "runbooks/atft-gat-fan.yaml",
        "  errors: []",
        "  errors: [{name: slow, pattern: '^(\\w+\\s?)+:$', severity: error}]",
    )
    os.kill(pause(project), signal.SIGKILL)
    end = {"t": time.time(), "run_id": project.record()["run_id"], "event": "stopped", "exit_code": 1}
    with (project.root / "logs" / "events.jsonl").open("a") as file:
        file.write(json.dumps({**end, "reason": "the matrix has a shape that no other part expects " * 3}) + "\n")
        file.write(json.dumps(end).replace(str(end["t"]), "9" * 400) + "\n")
        file.write(json.dumps(end).replace(str(end["t"]), "Infinity") + "\n")
    done = project.run("diagnose", limit_s=60)
    assert done.code == 6 and "an error in the code is possible" in done.out and "slow" in done.out, done


def test_a_damaged_checkpoint_is_named(project: Project) -> None:
    os.kill(pause(project), signal.SIGKILL)
    project.write("models/last.pth", b"PK\x03\x04" + b"x" * 500)
    done = project.run("diagnose")
    assert done.code == 6 and "models/last.pth: the zip is not complete" in done.out, done
    assert "next: atftctl rollback --to last-good" in done.out
