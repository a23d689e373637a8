"""What a shell, a cron job or a container left behind changes nothing: signals, descriptors, folder, umask, time zone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.projects import OOM, Ended, Project, wait_for
from tests.support.repositories import git, with_history
from tests.support.today import some
from tests.support.users import ALICE, needs_root, open_project_of, run_as


def run_with(project: Project, setting: str, *arguments: str, env: dict[str, str] | None = None) -> Ended:
    """The command in a process that was put into this state before."""
    code = (
        f"import os, signal, sys\n{setting}\nos.execv(sys.executable, [sys.executable, '-m', 'atftctl', *sys.argv[1:]])"
    )
    argv = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(argv, cwd=project.root, env={**project.env, **(env or {})}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def test_an_ignored_sigchld_hides_no_failure_of_git(project: Project) -> None:
    with_history(project.root)
    ignored = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    done = run_with(project, ignored, "rollback", "--git", "HEAD", "--yes", "--no-restart")
    assert done.code == 0 and git(project.root, "log", "-1", "--format=%s").startswith("Revert"), done
    undone = run_with(project, ignored, "undo", "--yes")
    assert undone.code == 0 and git(project.root, "log", "-1", "--format=%s").startswith("Undo"), undone
    (project.root / ".git/hooks").mkdir(exist_ok=True)
    hook = project.root / ".git/hooks/reference-transaction"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    refused = run_with(project, ignored, "rollback", "--git", "HEAD", "--yes")
    assert refused.code in (3, 4), refused


@pytest.mark.parametrize(
    "setting",
    ["signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGCHLD])",
     "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
     "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)"],
    ids=["blocked", "ignored", "nohup"],
)  # fmt: skip
def test_the_trainer_can_be_asked_to_stop_and_saves(project: Project, setting: str) -> None:
    assert run_with(project, setting, "trainer", "start").code == 0
    pid = project.record()["pid"]
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0, "nothing is blocked in the trainer"
    ignored = int(status["SigIgn"], 16)
    assert not ignored & sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
    stopped = project.run("trainer", "stop")
    assert stopped.code == 0 and "killed" not in stopped.out, stopped
    assert project.read("models/last.pth").startswith(b"weights of step"), "it saved"


@pytest.mark.parametrize("closed", some([(0,), (1,), (2,), (0, 1, 2), (1, 2)], 2), ids=str)
def test_a_rescue_runs_with_its_descriptors_closed(project: Project, closed: tuple[int, ...]) -> None:
    before = project.configs()
    done = run_with(project, f"[os.close(n) for n in {closed}]", *OOM)
    assert done.code == 0 and project.configs() != before, done
    assert b"rollback:" not in project.read(".atftctl/history.jsonl"), "nothing is printed into a file of ours"
    assert run_with(project, f"[os.close(n) for n in {closed}]", "undo", "--yes").code == 0
    assert project.configs() == before


def test_a_working_folder_that_is_gone(project: Project, tmp_path: Path) -> None:
    gone = f"os.mkdir('{tmp_path}/gone'); os.chdir('{tmp_path}/gone'); os.rmdir('{tmp_path}/gone')"
    lost = run_with(project, gone, "status")
    assert lost.code == 2 and "working folder" in lost.err and "--project" in lost.err, lost
    assert run_with(project, gone, *OOM, "--project", str(project.root)).code == 0
    assert run_with(project, gone, "--project", str(project.root), "status").code == 0
    assert run_with(project, gone, "--help").code == 0


@pytest.mark.parametrize("umask", [0o177, 0o777, 0o377, 0o000])
def test_an_odd_umask_locks_nobody_out(umask: int) -> None:
    with_umask = f"os.umask({umask:#o})"
    if os.geteuid() == 0:
        with open_project_of(ALICE) as project:
            env = {"PYTHONPATH": project.env["PYTHONPATH"]}
            code = f"import os; {with_umask}"
            assert run_as(project, ALICE, "status").code == 0 and code and env
            old = os.umask(umask)
            try:
                assert run_as(project, ALICE, *OOM).code == 0
            finally:
                os.umask(old)
            assert run_as(project, ALICE, "undo", "--yes").code == 0
            modes = {
                (project.root / name).stat().st_mode & 0o777 for name in (".atftctl", ".atftctl/journal", "backups")
            }
            assert modes == {0o700}


@needs_root
def test_a_folder_of_ours_that_was_closed_once_is_named_with_the_way_out() -> None:
    with open_project_of(ALICE) as project:
        assert run_as(project, ALICE, "backup").code == 0
        (project.root / ".atftctl").chmod(0o600)
        ended = run_as(project, ALICE, "status")
        assert ended.code in (0, 3) and (ended.code == 0 or "chmod -R u+rwX" in ended.err), ended


@pytest.mark.parametrize("zone", ["XXX+24", "XXX-25:30", "ABC-167", "Nowhere/Land", ""])
def test_a_time_zone_that_python_does_not_know(project: Project, zone: str) -> None:
    assert project.run(*OOM, env={"TZ": zone}).code == 0
    assert project.run("history", env={"TZ": zone}).code == 0
    assert project.run("undo", "--yes", env={"TZ": zone}).code == 0


def test_the_operators_shell_carries_the_mark_of_the_run(project: Project) -> None:
    """A shell that took over the trainer's environment is not the trainer, nor what else it has started."""
    assert project.run("trainer", "start").code == 0
    mark = f"ATFTCTL_RUN_ID={project.record()['run_id']}"
    script = f"export {mark}; sleep 300 & {sys.executable} -m atftctl trainer stop; echo alive; kill %1"
    done = subprocess.run(["bash", "-c", script], cwd=project.root, env=project.env, capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    assert done.returncode == 0 and "alive" in done.stdout and "stopped the trainer" in done.stdout, done
    assert project.run("trainer", "status").out.startswith("trainer: stopped")
    again = subprocess.run(
        ["bash", "-c", f"export {mark}; {sys.executable} -m atftctl trainer start; echo alive"],
        cwd=project.root, env=project.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "the trainer is running" in again.stdout and "alive" in again.stdout, again
    assert project.record()["run_id"] not in mark


@pytest.mark.parametrize(
    "command",
    [["setsid", "--fork"], ["bash", "-c", '"$@" & disown; exit 0', "launcher"]],
    ids=["setsid", "a shell that leaves"],
)
def test_a_launcher_that_leaves_its_trainer_in_the_background(project: Project, command: list[str]) -> None:
    import json

    items = ", ".join(json.dumps(word) for word in command)
    from tests.support.projects import RUNBOOK

    project.replace(RUNBOOK, 'command: ["{python}", ', f'command: [{items}, "{{python}}", ')
    started = project.run("trainer", "start")
    assert started.code == 0, started
    seen = project.run("trainer", "status", "--json").json["data"]
    assert seen["state"] == "running" and seen["leftovers"] == [], seen
    assert project.run(*OOM).code == 0
    stopped = project.run("trainer", "stop")
    assert stopped.code == 0, stopped
    wait_for(lambda: not Path(f"/proc/{seen['pid']}").exists() or "Z" in Path(f"/proc/{seen['pid']}/stat").read_text())
    time.sleep(0.1)
    assert project.run("trainer", "status", "--json").json["data"]["leftovers"] == []


def test_a_command_below_the_trainer_does_not_stop_it(project: Project, tmp_path: Path) -> None:
    from atftctl.host.process import table as procs

    assert procs.is_above_us(procs.identify(os.getppid()))  # type: ignore[arg-type]
    assert not procs.is_above_us(procs.Identity(2**22, 1, procs.boot_id()))
