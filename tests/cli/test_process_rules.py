"""One trainer a project, whatever went wrong before: found by a hostile review, each once a fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests.support.projects import CONFIG, OOM, RUNBOOK, Project, processes_of, wait_for

KILL_AT = """
import os, signal, sys
module, name = sys.argv[1].rsplit(".", 1)
import importlib
setattr(importlib.import_module(module), name, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
sys.argv = ["atftctl", *sys.argv[2:]]
from atftctl.cli.main import main
main()
"""


def killed_at(project: Project, place: str, *command: str) -> None:
    """The command, killed where it would call this function."""
    done = subprocess.run(
        [sys.executable, "-c", KILL_AT, place, *command],
        cwd=project.root,
        env=project.env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done


def by_hand(project: Project) -> subprocess.Popen[bytes]:
    command = yaml.safe_load(project.read(RUNBOOK))["trainer"]["command"]
    child = subprocess.Popen([sys.executable, *command[1:-1], "last"], cwd=project.root, env=project.env)
    wait_for(lambda: child.pid in processes_of(project.root))
    wait_for(lambda: f"pid {child.pid}" in project.run("trainer", "status").out)
    return child


def one_trainer(project: Project) -> int:
    """The only process of the project, and it is the recorded one."""
    wait_for(lambda: processes_of(project.root) == [project.record()["pid"]])
    return int(project.record()["pid"])


@pytest.mark.parametrize("spoil", ["command", "limit"])
def test_a_trainer_that_cannot_be_started_does_not_lock_the_project(project: Project, spoil: str) -> None:
    """After the decision: changed, not healthy. The undo is open, and the mended runbook starts it again."""
    assert project.run("trainer", "start").code == 0
    whole = project.read(RUNBOOK)
    if spoil == "command":
        project.replace(RUNBOOK, '"{python}", ', '"/nonexistent/python", ')
    else:
        project.replace(RUNBOOK, "memory_limit_mb: 0", "memory_limit_mb: 1")
    done = project.run(*OOM)
    assert done.code == 1, done
    assert "not healthy" in done.out and "undo" in done.out
    assert b"use_ema: false" in project.read(CONFIG)
    project.write(RUNBOOK, whole)
    assert project.run("trainer", "start").code == 0
    assert project.run("undo", "--yes").code == 0
    one_trainer(project)


def test_recovery_goes_on_where_the_trainer_cannot_be_started(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    project.replace(RUNBOOK, '"{python}", ', '"/nonexistent/python", ')
    killed_at(project, "atftctl.apply.transaction.roll_forward", *OOM)
    done = project.run("recover")
    assert done.code == 1 and "could not be started" in done.out and "atftctl trainer start" in done.out, done
    assert project.run("recover").out.startswith("nothing to recover")


def test_ctrl_c_during_the_stop_brings_the_trainer_back(project: Project) -> None:
    project.behave("slow-stop")
    assert project.run("trainer", "start").code == 0
    old = project.record()["pid"]
    running = project.start(*OOM)
    wait_for(
        lambda: (
            any((project.root / ".atftctl/journal").glob("*.json"))
            if (project.root / ".atftctl/journal").is_dir()
            else False
        )
    )
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    assert running.returncode == 130
    assert one_trainer(project) != old
    assert project.run("trainer", "status", "--json").json["data"]["state"] in ("starting", "running")


def test_models_come_back_under_a_running_trainer(project: Project) -> None:
    """The trainer saves when it is stopped: what stands then is taken after its stop."""
    assert project.run("backup").code == 0
    before = project.read("models/last.pth")
    assert project.run("trainer", "start").code == 0
    assert project.run("trainer", "restart").code == 0
    assert project.read("models/last.pth") != before
    assert project.run("restore", "latest", "--yes").code == 0
    one_trainer(project)
    assert project.run("trainer", "stop").code == 0
    assert project.run("undo", "--yes").code == 0
    assert project.read("models/last.pth").startswith(b"weights of step")


def test_recovery_and_start_do_not_both_start_one(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    killed_at(project, "atftctl.apply.snapshots.take.take", *OOM)
    done = project.run("trainer", "start")
    assert done.code == 3 and "already running" in done.err and "reversed rollback" in done.err, done
    one_trainer(project)


def test_every_trainer_is_stopped_before_one_starts(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    hand = by_hand(project)
    try:
        for command in (("trainer", "restart"), ("trainer", "stop"), OOM):
            done = project.run(*command)
            assert done.code == 3 and f"--adopt {hand.pid}" in done.err, done
        assert project.run(*OOM, "--adopt", str(hand.pid)).code == 0
        hand.wait(120)
        one_trainer(project)
    finally:
        hand.kill()
        hand.wait()


def test_what_a_killed_trainer_left_behind_is_ours_to_stop(project: Project) -> None:
    """An out-of-memory kill of a trainer with workers: the workers live on."""
    project.behave("fork", "double-fork")
    project.replace(RUNBOOK, "grace_s: 5", "grace_s: 1")
    assert project.run("trainer", "start").code == 0
    os.kill(project.record()["pid"], signal.SIGKILL)
    wait_for(lambda: len(processes_of(project.root)) == 2)
    assert "processes of that run are still running" in project.run("trainer", "status").out
    project.behave()
    done = project.run(*OOM)
    assert done.code == 0 and "stop the remaining processes of the last run" in done.out, done
    one_trainer(project)


def test_a_file_moved_away_lets_recovery_go_on(project: Project) -> None:
    killed_at(project, "atftctl.apply.transaction.roll_forward", *OOM)
    edited = project.read(CONFIG) + b"# mine\n"
    project.write(CONFIG, edited)
    done = project.run("recover")
    assert done.code == 5 and "neither the old nor the new" in done.err and "move this file away" in done.err
    assert project.read(CONFIG) == edited
    (project.root / CONFIG).rename(project.root / "mine.yaml")
    assert project.run("recover").code == 0
    assert b"use_ema: false" in project.read(CONFIG)


def test_an_error_says_what_recovery_did_before_it(project: Project) -> None:
    killed_at(project, "atftctl.apply.transaction.roll_forward", *OOM)
    done = project.run("rollback", "--symptom", "oom", "--yes", "--json")
    assert done.code == 3
    assert "finished rollback" in done.json["error"]["state"]


def test_backup_tells_that_it_recovered(project: Project) -> None:
    killed_at(project, "atftctl.apply.transaction.roll_forward", *OOM)
    done = project.run("backup")
    assert done.code == 0 and "finished rollback" in done.err


def test_a_stop_on_purpose_is_remembered(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    assert project.run("trainer", "stop").code == 0
    whole = project.read(RUNBOOK)
    project.replace(RUNBOOK, '"{python}", ', '"/nonexistent/python", ')
    assert project.run("trainer", "start").code == 5
    project.write(RUNBOOK, whole)
    shown = project.run("rollback", "--symptom", "oom", "--dry-run")
    assert "start the trainer from" not in shown.out


def test_a_trainer_on_another_machine_is_not_taken_for_dead(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    record = project.record()
    assert project.run("trainer", "stop").code == 0
    project.write(".atftctl/process.json", json.dumps({**record, "host": "gpu7", "boot": "other", "wanted": "running"}))
    assert "gpu7" in project.run("status").out
    for command in (OOM, ("trainer", "start"), ("trainer", "stop")):
        done = project.run(*command)
        assert done.code == 3 and "gpu7" in done.err, done
    assert project.run(*OOM, "--no-restart").code == 0


def test_latest_knows_no_time_zone(project: Project) -> None:
    assert project.run("backup", "--label", "old", env={"TZ": "Asia/Tokyo"}).code == 0
    project.replace(CONFIG, "hidden_size: 32", "hidden_size: 40")
    assert project.run("backup", "--label", "new", env={"TZ": "UTC"}).code == 0
    project.replace(CONFIG, "hidden_size: 40", "hidden_size: 48")
    assert project.run("restore", "latest", "--yes").code == 0
    assert b"hidden_size: 40" in project.read(CONFIG)


def test_status_never_stands_in_the_way_of_a_rollback(project: Project) -> None:
    from pathlib import Path

    from atftctl.host import locks

    path = project.root / "lock"
    code = f"from pathlib import Path; from atftctl.host import locks\nwhile True: locks.holder(Path({str(path)!r}))"
    path.touch()
    looker = subprocess.Popen([sys.executable, "-c", code], env=project.env)
    try:
        time.sleep(0.3)
        taken = 0
        for _ in range(300):
            with locks.exclusive(Path(path), command="x", reason=""):
                taken += 1
        assert taken == 300
    finally:
        looker.kill()
        looker.wait()


def test_an_editors_lock_file_is_no_second_runbook(project: Project) -> None:
    assert project.run(*OOM).code == 0
    (project.root / "runbooks/.#atft-gat-fan.yaml").symlink_to("me@host.123")
    (project.root / "runbooks/.hidden.yaml").write_text("x")
    assert project.run("status").code == 0
    project.write("runbooks/second.yaml", "x: 1\n")
    assert project.run("status").code == 2
    assert project.run("undo", "--yes").code == 0
    (project.root / "runbooks/second.yaml").unlink()
    (project.root / RUNBOOK).unlink()
    assert project.run("recover").code == 0


LINT = {
    "listed twice": ("    - models/last.pth\n", "    - models/last.pth\n    - models/last.pth\n", "listed twice"),
    "a folder": ("- configs/atft/train/production.yaml", "- configs/atft/train", "is not a file"),
    "one key, two features": (
        "key: data.memory_map",
        "key: improvements.use_ema",
        "is also the key of the feature use_ema",
    ),
    "no such resume": (
        "resume: best  # last",
        "resume: newest  # last",
        "is not one of: last, best, snapshot, scratch",
    ),
    "no deadline": ("ready_s: 20", "ready_s: .nan", "out of its range"),
    "no grace": ("grace_s: 5", "grace_s: -1", "out of its range"),
    "no such limit": ("memory_limit_mb: 0", "memory_limit_mb: 99999999999999", "out of its range"),
    "no margin": ("quality_margin: 0.02", "quality_margin: 0", "is not a number above 0"),
    "a margin below zero": ("quality_margin: 0.02", "quality_margin: -0.02", "is not a number above 0"),
    "a margin that is no number": ("quality_margin: 0.02", "quality_margin: .nan", "is not a number above 0"),
    "hardly any dates": ("quality_min_dates: 60", "quality_min_dates: 5", "out of its range, 20 to 100000"),
}


@pytest.mark.parametrize("name", LINT)
def test_lint_sees_what_would_break_a_rollback(project: Project, name: str) -> None:
    old, new, message = LINT[name]
    project.replace(RUNBOOK, old, new)
    done = project.run("runbook", "lint")
    assert done.code == 1 and message in done.out, done


def test_a_copy_that_is_gone_is_noticed_before_the_trainer_is_stopped(project: Project) -> None:
    snapshot = project.run("backup", "--json").json["data"]["id"]
    assert project.run("trainer", "start").code == 0
    pid = project.record()["pid"]
    project.write("models/best_model.pth", b"other")
    (project.root / "backups" / snapshot / "models/best_model.pth").unlink()
    done = project.run("restore", snapshot, "--yes")
    assert done.code == 3 and "damaged or missing" in done.err
    assert processes_of(project.root) == [pid]


def test_where_nothing_can_be_printed_the_exit_code_still_tells(project: Project) -> None:
    for command, code in (
        (("rollback", "--immediate", "--yes", "--json"), 0),
        (("status",), 0),
        (("undo", "--yes"), 0),
    ):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "atftctl", *command],
                cwd=project.root,
                env=project.env,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == code and "Traceback" not in done.stderr, (command, done)
        assert "warning: the output is not complete: No space left on device" in done.stderr, (command, done)
    done = project.run("status", "--lang", "ja", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0, done


def test_a_reason_of_any_bytes(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "atftctl", *OOM, "--reason", b"\xff burns"],
        cwd=project.root,
        env=project.env,
        capture_output=True,
    )
    assert done.returncode == 0, done
    assert project.run("history", "--json").json["data"]["operations"][-1]["reason"].endswith(" burns")


def test_a_start_that_failed_is_not_logged_as_done(project: Project) -> None:
    project.behave("die")
    assert project.run("trainer", "start").code == 1
    entry = project.run("history", "--json").json["data"]["operations"][-1]
    assert (entry["exit_code"], entry["outcome"]) == (1, "not healthy")


def test_an_interrupt_while_the_change_is_applied_says_130(project: Project) -> None:
    """It is completed, and the exit code says that it was interrupted."""
    code = (
        "import os, signal, sys\nfrom atftctl.apply import transaction\nreal = transaction.roll_forward\n"
        "def forward(*a): os.kill(os.getpid(), signal.SIGINT); real(*a)\n"
        "transaction.roll_forward = forward\nsys.argv = ['atftctl', *sys.argv[1:]]\n"
        "from atftctl.cli.main import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *OOM], cwd=project.root, env=project.env, capture_output=True, text=True
    )
    assert done.returncode == 130 and "completed" in done.stdout, done
    assert b"use_ema: false" in project.read(CONFIG)


def test_one_bad_line_does_not_stop_a_rescue(project: Project) -> None:
    assert project.run("trainer", "start").code == 0
    run_id = project.record()["run_id"]
    with (project.root / "logs/events.jsonl").open("a") as file:
        file.write(json.dumps({"event": "checkpoint", "t": 1.0, "run_id": run_id, "step": None}) + "\n")
    assert project.run(*OOM).code == 0
    with (project.root / ".atftctl/history.jsonl").open("a") as file:
        file.write('{"operation": "x"}\n{"operation": "y", "command": "z", "title": "t", "files": [{}]}\n')
    for command in (("status",), ("history",), ("undo", "--yes")):
        assert project.run(*command).code == 0, command


@pytest.mark.skipif(os.getuid() != 0, reason="only root can rescue a user's project as root")
def test_a_rescue_by_root_does_not_lock_the_user_out(project: Project) -> None:
    for path in (project.root, *project.root.rglob("*")):
        if "runbooks" not in path.parts:  # root runs no commands of another user's runbook
            os.chown(path, 12345, 12345)
    assert project.run(*OOM).code == 0
    paths = [path for path in project.root.rglob("*") if "runbooks" not in path.parts]
    foreign = [path for path in paths if path.lstat().st_uid != 12345]
    assert foreign == []


def test_words_that_restore_would_misread(project: Project) -> None:
    project.run("backup")
    assert project.run("restore", "", "--yes").code == 2
    assert project.run("backup", "--label", "last-good").code == 3


def test_a_file_name_that_is_not_utf_8(project: Project) -> None:
    git = ["git", "-C", str(project.root), "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "init", "-q"], check=True)
    (project.root / os.fsdecode(b"odd\xff")).write_text("x")
    from atftctl.host.git.facts import tracked_files

    assert os.fsdecode(b"odd\xff") in tracked_files(project.root)
    assert project.run("backup").code == 0
