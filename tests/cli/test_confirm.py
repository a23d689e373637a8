"""`--confirm-within` and `confirm`, with real timers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import pending
from tests.support.pending import CHANGE, NEW, OLD, QUIET, change, record
from tests.support.projects import CONFIG, REVERT, RUNBOOK, Project, processes_of, wait_for
from tests.support.repositories import commit, create_repository
from tests.support.rungs import LAST, climb
from tests.support.today import some

DATA = (
    "operation",
    "command",
    "title",
    "asked_by",
    "reason",
    "deadline",
    "left_s",
    "by_verify",
    "timer_alive",
    "problem",
)


# The undo of the timer; what of atftctl was imported during it.
UNDO = """
import sys
from pathlib import Path
from atftctl.cli.timer import LogReporter
from atftctl.host.self_copy import private_copy
from atftctl.operations.confirm_timer import LATE
from atftctl.operations.overdue import expire
from atftctl.operations.project import open_for_rescue
from atftctl.state import pending
from tests.support.today import some

private_copy.load(LATE)
project = open_for_rescue(Path.cwd())
before = set(sys.modules)
change = pending.read(project.layout)
LogReporter.part = LogReporter.note = lambda self, text: None
print(expire(project, change, LogReporter()) is not None, *{name for name in sys.modules if name.startswith("atftctl")} - before)
"""


def test_confirmed_in_time_by_another_operator(project: Project) -> None:
    project.env["SUDO_USER"] = "ada"
    operation = change(project, "1h", "--reason", "cooler attention")
    pid = pending.timer_pid(project)
    data = project.run("status", "--json").json["data"]["pending"]
    assert tuple(data) == DATA and data["timer_alive"] and 3500 < data["left_s"] <= 3600 and data["problem"] == ""
    shown = project.run("status").out
    assert "59 min left" in shown and "asked for by ada@" in shown and "atftctl confirm" in shown, shown
    assert os.getsid(pid) == pid != os.getsid(0), "a session of its own"
    pending.refused(project.run("confirm", "20200101"), "waits for no confirmation")
    done = project.run("confirm", operation[:15], "--json", env={"SUDO_USER": "grace"})
    assert done.code == 0 and done.json["data"]["asked_by"].startswith("ada@"), done
    assert NEW in project.read(CONFIG) and not record(project)
    wait_for(lambda: not pending.runs(pid))
    assert "confirmed" in pending.timer_log(project, operation)
    last = pending.history(project)[-1]
    assert last["command"] == "confirm" and last["about"] == {"confirms": operation}
    assert last["operator"].startswith("grace@")
    again = project.run("confirm")
    pending.refused(again, "is confirmed already, by grace@")
    assert project.run("undo", "--yes", "--no-restart").code == 0 and OLD in project.read(CONFIG)


def test_without_confirmation_it_is_undone(project: Project) -> None:
    project.start_trainer()
    before = project.configs()
    done = project.run("rollback", "--immediate", "--yes", "--confirm-within", "6s", "--json")
    assert done.code == 0 and done.json["data"]["confirm_until"], done
    operation = done.json["data"]["operation"]
    quarantine = project.run("undo", operation, "--dry-run")
    assert quarantine.code == 0, quarantine
    wait_for(lambda: project.configs() == before and not record(project))
    wait_for(lambda: "contact: " in pending.timer_log(project, operation))
    undo = pending.history(project)[-1]
    assert undo["reason"] == "not confirmed within 6 s" and undo["about"]["undo_of"] == operation
    assert undo["outcome"] == "done" and undo["first_step"], "the trainer runs again, with the old settings"
    assert "is no longer quarantined" in pending.timer_log(project, operation)
    status = project.run("status")
    assert "quarantined" not in status.out and "trainer running" in status.out, status
    late = project.run("confirm")
    pending.refused(late, "too late")
    assert "not confirmed within 6 s" in late.err
    pending.refused(project.run("undo", "--yes"), "is undone already: not confirmed within 6 s")
    assert project.configs() == before


def test_the_operator_is_killed(project: Project) -> None:
    """At any instant after the change is recorded: it is undone by itself. How soon, `make confirm-long` measures."""
    from tests.confirm_long import strike

    for after_s in some((0.0, 0.05, 0.3, 1.0), 1):
        assert strike(project, after_s)[0] >= 0
    assert strike(project, 0.1, decided=False)[0] >= 0


def test_a_change_that_is_never_recorded(project: Project) -> None:
    """The operator is killed after the timer has started: the timer ends, and nothing waits."""
    from atftctl.apply import confirm_timer
    from atftctl.host import locks
    from atftctl.operations.project import open_project

    layout = open_project(project.root).layout
    layout.state.mkdir(mode=0o700)
    operation = "20261130_120000-abcd"
    with locks.exclusive(layout.lock, command="config set", reason=""):
        confirm_timer.start(layout, operation, confirm_timer.home_for(layout, operation))
        pid = pending.timer_pid(project)
        time.sleep(0.3)
        assert pending.runs(pid), "whoever holds the lock may record the change yet"
    wait_for(lambda: not pending.runs(pid))
    assert "was not recorded" in pending.timer_log(project, operation) and not record(project)


def test_what_an_undo_needs_is_loaded_before_the_timer_is_ready(project: Project) -> None:
    change(project, "1h")
    pending.kill_timer(project)
    pending.rewrite(project, deadline=0.0)
    done = subprocess.run(
        [sys.executable, "-c", UNDO], cwd=project.root, env=project.env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.split() == ["True"], done
    assert OLD in project.read(CONFIG)


def race(project: Project, offset: float) -> bool:
    """Confirm so many seconds after the deadline; did the confirmation win? One of both wins, and both say so."""
    operation = change(project, "8s" if offset < -1 else "3s")
    pause = record(project)["deadline"] + offset - pending.boottime()
    time.sleep(max(pause, 0.0))
    confirmed = project.run("confirm").code
    assert confirmed in (0, 3)
    wait_for(lambda: not record(project))
    assert (OLD in project.read(CONFIG)) == (confirmed == 3), (offset, pending.timer_log(project, operation))
    ending = "confirmed" if confirmed == 0 else "undo"
    wait_for(lambda: ending in pending.timer_log(project, operation))
    if confirmed == 0:
        assert project.run("undo", "--yes", "--no-restart").code == 0
    return confirmed == 0


def test_confirm_and_deadline_at_the_same_time(project: Project) -> None:
    assert race(project, -7.0)
    for offset in some((-0.1, 0.0, 0.1), 1):
        race(project, offset)


def test_one_waits_and_other_changes_are_refused(project: Project) -> None:
    assert project.run("backup").code == 0
    operation = change(project, "1h")
    before = project.configs()
    for command in (
        ("config", "set", "huber_loss=false", "--yes", "--no-restart"),
        ("config", "set", "huber_loss=false", "--yes", "--no-restart", "--confirm-within", "1h"),
        ("rollback", "--immediate", "--yes", "--no-restart"),
        ("rollback", "--staged", "--symptom", "oom", "--yes"),
        ("restore", "latest", "--yes", "--no-restart"),
        ("reenable", "--phase", "1", "--yes", "--no-restart"),
        ("backup", "rm", "latest", "--yes"),
    ):
        ended = project.run(*command)
        pending.refused(ended, "waits for its confirmation")
        assert ended.code == 3 and f"atftctl undo {operation}" in ended.err, ended
    shown = project.run("rollback", "--immediate", "--no-restart", "--dry-run")
    assert shown.code == 0 and "this would be refused now" in shown.out
    assert project.configs() == before
    assert project.run("backup", "--only", "configs").code == 0, "what changes no file goes on"
    assert project.run("trainer", "start").code == 0 and project.run("trainer", "stop").code == 0
    pid = pending.timer_pid(project)
    pending.refused(
        project.run("undo", "--yes", "--no-restart", "--confirm-within", "1h"), "has not been confirmed itself"
    )
    assert project.run("undo", "--yes", "--no-restart").code == 0
    assert OLD in project.read(CONFIG) and not record(project)
    wait_for(lambda: not pending.runs(pid))
    pending.refused(project.run("confirm"), "was undone, by ")
    assert project.run("config", "set", "huber_loss=false", "--yes", "--no-restart").code == 0


def test_after_a_reboot_the_next_change_undoes_first(project: Project) -> None:
    operation = change(project, "1h")
    pending.after_reboot(project, left_s=-10)
    tree = project.tree()
    shown = project.run("status")
    assert "is not undone yet" in shown.out and f"atftctl undo {operation}" in shown.out
    assert "before that," in project.run("config", "set", "huber_loss=false", "--no-restart", "--dry-run").out
    late = project.run("confirm")
    pending.refused(late, "had to be confirmed by")
    assert "still in place" in late.err and project.tree() == tree
    done = project.run("config", "set", "huber_loss=false", "--yes", "--no-restart")
    assert done.code == 0 and "undone first" in done.err, done
    assert OLD in project.read(CONFIG) and b"huber_loss: false" in project.read(CONFIG)
    assert [entry["command"] for entry in pending.history(project)] == ["config set", "undo", "config set"]


def test_after_a_reboot_guard_undoes_first(project: Project) -> None:
    change(project, "1h")
    pending.after_reboot(project, left_s=-10)
    assert project.run("guard", "--", "true").code == 0
    assert OLD in project.read(CONFIG) and not record(project)


def test_after_a_reboot_with_time_left_the_timer_starts_again(project: Project) -> None:
    change(project, "1h")
    pending.after_reboot(project, left_s=10)
    assert "the process is gone" in project.run("status").out
    assert project.run("recover").code == 0
    assert pending.runs(pending.timer_pid(project)) and NEW in project.read(CONFIG)
    pending.await_undo(project)


def test_a_dead_timer_is_started_again(project: Project) -> None:
    change(project, "8s")
    pending.kill_timer(project)
    pending.refused(project.run(*QUIET), "waits for its confirmation")
    assert pending.runs(pending.timer_pid(project))
    pending.await_undo(project)


def test_hangup_and_interrupt_do_not_end_the_timer(project: Project) -> None:
    change(project, "2s")
    pid = pending.timer_pid(project)
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(pid, number)
    pending.await_undo(project)
    assert OLD in project.read(CONFIG)


def test_a_project_that_is_moved(project: Project) -> None:
    change(project, "8s")
    moved = Project(project.root.with_name("moved"), project.env)
    project.root.rename(moved.root)
    assert "waits for its confirmation" in moved.run("status").out
    assert moved.run("backup", "--only", "configs").code == 0, "recovery leaves the timer's own files alone"
    pending.await_undo(moved)
    assert not list((moved.root / ".atftctl/journal").iterdir())


def test_a_copy_of_the_project_has_no_timer(project: Project) -> None:
    change(project, "1h")
    copy = Project(project.root.with_name("copy"), project.env)
    shutil.copytree(project.root, copy.root)
    assert "the process is gone" in copy.run("status").out
    assert copy.run("undo", "--yes", "--no-restart").code == 0 and OLD in copy.read(CONFIG)
    assert record(project) and NEW in project.read(CONFIG)


def test_the_undo_waits_for_the_lock(project: Project) -> None:
    operation = change(project, "3s")
    holder = subprocess.Popen(
        ["flock", "--no-fork", str(project.root / ".atftctl/lock"), "sleep", "600"], cwd="/", stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: "waiting for the lock" in pending.timer_log(project, operation))
        assert NEW in project.read(CONFIG)
    finally:
        holder.kill()
        holder.wait()
    pending.await_undo(project)


def test_the_time_begins_when_the_change_is_complete(project: Project) -> None:
    """The trainer needs longer to its first step than the operator has to confirm."""
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 8")
    project.start_trainer()
    project.behave("silent")
    done = project.run(*CHANGE, "--confirm-within", "6s")
    assert done.code == 1 and NEW in project.read(CONFIG), done
    assert project.run("confirm").code == 0


def test_recover_of_an_interrupted_change(project: Project) -> None:
    project.start_trainer()
    project.behave("silent")
    child = project.start(*CHANGE, "--confirm-within", "1h")
    wait_for(lambda: NEW in project.read(CONFIG))
    at_work = project.run("status").out
    assert "is running `config set` here" in at_work and "interrupted" not in at_work, at_work
    child.kill()
    child.wait()
    assert project.run("status", "--json").json["data"]["open_operation"]
    recovered = project.run("recover")
    assert recovered.code == 0 and "finished" in recovered.out, recovered
    assert record(project) and "waits for its confirmation" in project.run("status").out
    assert project.run("confirm").code == 0 and NEW in project.read(CONFIG)


def test_recover_back_ends_the_wait(project: Project) -> None:
    project.start_trainer()
    project.behave("silent")
    child = project.start(*CHANGE, "--confirm-within", "1h")
    wait_for(lambda: NEW in project.read(CONFIG))
    child.kill()
    child.wait()
    project.behave("")
    assert project.run("recover", "--back").code == 0
    assert OLD in project.read(CONFIG) and not record(project)
    pending.refused(project.run("confirm"), "was put back")


def test_a_failed_undo_is_said_loudly_and_may_be_decided_by_a_person(project: Project) -> None:
    operation = change(project, "4s")
    project.replace(CONFIG, "freq_dropout_p: 0.1", "freq_dropout_p: 0.2")  # an edit by hand, which an undo would lose
    wait_for(lambda: record(project).get("problem"))
    wait_for(lambda: "UNDO FAILED" in pending.timer_log(project, operation))
    shown = project.run("status")
    assert "THE UNDO FAILED" in shown.out and "was changed after" in shown.out and "contact: " in shown.out, shown
    fault = project.run("status", "--json").json["data"]["faults"][0]
    assert fault["name"] == "confirmation" and fault["blocks"], "doctor shows the same, and ends with 1"
    ended = project.run("rollback", "--immediate", "--yes", "--no-restart")
    pending.refused(ended, "the overdue undo of")
    assert "to keep the change: atftctl confirm" in ended.err
    assert project.run("trainer", "start").code == 0, "a trainer can be started and stopped in any case"
    assert project.run("trainer", "stop").code == 0
    pid = pending.timer_pid(project)
    assert project.run("confirm").code == 0 and not record(project)
    wait_for(lambda: not pending.runs(pid))


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_at_the_time_of_the_undo(project: Project, tmp_path: Path) -> None:
    from tests.cli.test_bad_input import fill

    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        shutil.copytree(project.root, disk / "project")
        small = Project(disk / "project", project.env)
        operation = change(small, "3s")
        fill(disk)
        pending.await_undo(small)
        wait_for(lambda: pending.history(small)[-1]["about"].get("undo_of") == operation)
        assert OLD in small.read(CONFIG)
    finally:
        for pid in processes_of(disk / "project"):
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_full_disk_before_the_change(project: Project) -> None:
    """The timer can't be started: nothing is changed, and nothing waits."""
    project.env["PATH"] = "/nonexistent"
    (project.root / ".atftctl").mkdir(mode=0o700)
    (project.root / ".atftctl/confirm-timer.json").mkdir(mode=0o700)
    before = project.configs()
    ended = project.run(*QUIET, "--confirm-within", "1h")
    assert ended.code == 4 and "did not start" in ended.err and "as it was before" in ended.err, ended
    assert project.configs() == before and not record(project)
    pending.refused(project.run("confirm"), "")


@pytest.mark.parametrize(
    "text", some(["0s", "0m", "10", "m", "-5m", "1.5h", "10 m", "200h", "999999999h", "１０m", "10d", ""], 4)
)
def test_wrong_times(project: Project, text: str) -> None:
    before = project.tree()
    ended = project.run(*QUIET, f"--confirm-within={text}")
    if text:
        assert ended.code == 2 and "--confirm-within" in ended.err, ended
        assert project.tree() == before


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("rollback --staged --symptom oom", "judges by itself"),
        ("rollback --bisect --symptom oom", "changes nothing"),
        ("rollback --git HEAD --push", "can't be undone"),
        ("reenable --phase 1", "judges by itself"),
        ("backup prune --yes", "can't be brought back"),
        ("backup rm latest --yes", "can't be brought back"),
        ("restore latest --to out", "does not change the project"),
    ],
)
def test_where_it_is_refused(project: Project, command: str, text: str) -> None:
    ended = project.run(*command.split(), "--confirm-within", "10m")
    assert ended.code == 2 and text in ended.err, ended
    assert project.run("config", "set", "use_ema=false", "--confirm-by-verify", "--yes").code == 2


def test_plans_and_dry_runs_show_it(project: Project) -> None:
    tree = project.tree()
    shown = project.run(*QUIET[:-2], "--no-restart", "--dry-run", "--confirm-within", "90s", "--confirm-by-verify")
    assert "`atftctl confirm` or a passing `atftctl verify` comes within 90 s" in shown.out and project.tree() == tree
    saved = project.run("plan", "save", "../plan", *QUIET[:3], "--no-restart", "--confirm-within", "4s")
    assert saved.code == 0 and project.tree() == tree, saved
    assert project.run("plan", "apply", "../plan", "--yes").code == 0
    assert record(project)["within_s"] == 4
    pending.await_undo(project)


def test_nothing_waits_where_no_file_changes(project: Project) -> None:
    change(project, "1h")
    assert project.run("confirm").code == 0
    ended = project.run(*QUIET, "--confirm-within", "1h")
    assert not record(project), ended


def test_or_undo_ends_the_wait(project: Project) -> None:
    project.start_trainer()
    project.behave("bad-if:improvements.gat_temperature=1.0", "die")
    ended = project.run(*CHANGE, "--confirm-within", "1h", "--or-undo")
    assert ended.code == 4 and OLD in project.read(CONFIG) and not record(project), ended


def test_live_settings_go_back_live(project: Project) -> None:
    project.start_trainer()
    pid = project.record()["pid"]
    done = project.run(*CHANGE, "--live", "--confirm-within", "2s")
    assert done.code == 0, done
    pending.await_undo(project)
    events = project.root / "logs/events.jsonl"
    wait_for(lambda: events.read_text().count('"reloaded"') == 2)
    assert project.record()["pid"] == pid, "no restart"


def test_a_trainer_that_was_started_meanwhile_overwrites_no_model(project: Project) -> None:
    """The change was made without a trainer; the undo stops the one that was started since, and starts it again."""
    climb(project, "good", "good")
    done = project.run("rollback", "--back", "1", "--yes", "--no-restart", "--confirm-within", "10s")
    assert done.code == 0, done
    project.start_trainer()
    pid = project.record()["pid"]
    wait_for(lambda: not record(project) and project.record()["pid"] not in (None, pid))
    undo = next(entry for entry in pending.history(project) if entry["command"] == "undo")
    assert LAST in [file["path"] for file in undo["files"]] and undo["first_step"], undo


def test_an_undone_revert_of_a_commit(project: Project) -> None:
    create_repository(project)
    commit(project, "change the code", code="changed\n")
    done = project.run(*REVERT, "--confirm-within", "2s")
    assert done.code == 0 and project.read("src/code.py") == b"one\n", done
    wait_for(lambda: project.read("src/code.py") == b"changed\n" and not record(project))


def test_a_damaged_record_is_not_obeyed(project: Project) -> None:
    change(project, "1h")
    path = project.root / ".atftctl/pending.json"
    path.write_text(path.read_text().replace('"within_s": 3600', '"within_s": 1'))
    assert "can't be read" in project.run("status").out
    ended = project.run("rollback", "--immediate", "--yes", "--no-restart")
    pending.refused(ended, "was changed after it was written")
    pending.refused(project.run("confirm"), "was changed after it was written")
    assert NEW in project.read(CONFIG)


def test_a_passing_verify_of_this_state_confirms(project: Project) -> None:
    """The part of `verify` that confirms; its checks have tests of their own."""
    from atftctl.operations.change.project_lock import locked
    from atftctl.operations.confirm import by_verify
    from atftctl.operations.project import open_project
    from atftctl.operations.request import Request

    def passed() -> tuple[str, ...]:
        opened = open_project(project.root)
        with locked(opened, "verify", Request()):
            return by_verify(opened, Request())

    assert passed() == ()
    change(project, "1h")
    assert "next: atftctl confirm" in passed()[0] and record(project)
    assert project.run("confirm").code == 0 and project.run("undo", "--yes", "--no-restart").code == 0
    change(project, "1h", "--confirm-by-verify")
    text = project.read(CONFIG)
    project.replace(CONFIG, "freq_dropout_p: 0.1", "freq_dropout_p: 0.2")
    assert "files were changed after" in passed()[0] and record(project)
    project.write(CONFIG, text)
    assert "confirmed: " in passed()[0] and not record(project)


def test_the_id_of_what_waits_is_completed(project: Project) -> None:
    assert project.run("__complete", "--", "confirm", "").out == ""
    operation = change(project, "1h")
    assert project.run("__complete", "--", "confirm", "").out.startswith(operation)
    assert "10m" in project.run("__complete", "--", "undo", "--confirm-within", "").out
    assert "--confirm-within" in project.run("__complete", "--", "rollback", "--conf").out
    assert "--confirm-within" not in project.run("__complete", "--", "backup", "prune", "--conf").out
