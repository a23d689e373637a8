"""A trainer that knows nothing of atftctl: it starts, is proven by a weaker kind of proof that is named as such, dies,
finishes, and is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.projects import RUNBOOK, Project, processes_of, wait_for
from tests.support.silent import DIES, TRAIN, make_silent

ALIVE = "{alive_s: 0.3}"


def proof_of(project: Project) -> dict[str, object]:
    """The proof in the newest line of the history."""
    line = project.run("history", "--json").json["data"]["operations"][0]
    proof: dict[str, object] = line["proof"]
    return proof


def state_of(project: Project) -> str:
    return str(project.run("trainer", "status", "--json").json["data"]["state"])


def test_alive_is_a_proof_that_says_what_it_is_not(project: Project) -> None:
    make_silent(project, TRAIN, ALIVE)
    plan = project.run("trainer", "start", "--dry-run")
    assert "until this is true: it is alive for 0.3 s (its settings can't be checked)" in plan.out.replace("\n", " ")
    ended = project.run("trainer", "start")
    assert ended.code == 0, ended
    assert "atftctl can't tell whether it trains" in ended.out
    assert "not checked: does the trainer use the settings" in ended.out
    assert proof_of(project) == {
        "kind": "alive", "trains": None, "settings_checked": False, "seen": {"alive_s": 0.3},
    }  # fmt: skip
    assert state_of(project) == "running"
    reloaded = project.run("trainer", "reload")
    assert reloaded.code == 3, reloaded
    assert "has written no event" in reloaded.err
    rolled = project.run("rollback", "--immediate", "--yes", "--json")
    assert rolled.code == 0, rolled
    assert rolled.json["data"]["proof"]["kind"] == "alive"
    assert "atftctl can't tell whether it trains" in project.run("history").out + "\n".join(
        rolled.json["data"]["lines"]
    )
    undone = project.run("undo", rolled.json["data"]["operation"], "--yes", "--json")
    assert undone.code == 0, undone
    assert undone.json["data"]["proof"]["kind"] == "alive"
    assert project.run("trainer", "stop").code == 0
    assert not processes_of(project.root)


@pytest.mark.parametrize(
    ("ready", "kind", "seen"),
    [
        ("{pattern: 'step +2 loss'}", "output", {"line": "step 2 loss 0.2", "file": "logs/trainer.out"}),
        ("{metrics: advances}", "metrics", {"step": 2, "from_step": 1}),
        ("{command: [test, -e, up]}", "command", {"command": "test -e up", "output": "no output"}),
    ],
)
def test_what_the_runbook_names_is_waited_for(project: Project, ready: str, kind: str, seen: dict[str, object]) -> None:
    script = (
        "mkdir -p logs; echo step,loss > logs/metrics.csv; echo 1,0.5 >> logs/metrics.csv; sleep 0.5; touch up\n"
        "echo 2,0.4 >> logs/metrics.csv; printf 'bar\\rstep 2 loss 0.2\\rbar'; sleep 100\n"
    )
    ended = make_silent(project, script, ready).run("trainer", "start", "--json")
    assert ended.code == 0, ended
    proof = ended.json["data"]["proof"]
    assert (proof["kind"], proof["trains"], proof["seen"]) == (kind, True if kind == "metrics" else None, seen)


def test_an_early_end_is_a_failed_start_with_the_end_of_the_output(project: Project) -> None:
    make_silent(project, DIES, "{alive_s: 10}")
    ended = project.run("trainer", "start")
    assert ended.code == 1, ended
    assert "it ended with exit code 1" in ended.out.replace("\n", " ")
    assert "torch.OutOfMemoryError: CUDA out of memory" in ended.out
    status = project.run("trainer", "status", "--json").json["data"]
    assert (status["state"], status["last_event"]["exit_code"]) == ("died", 1)
    cause = project.run("diagnose", "--json").json["data"]["cause"]
    assert (cause["symptom"], cause["evidence"][0]["source"]) == ("oom", "logs")
    assert project.run("watch", "--once", "--json").code == 1
    staged = project.run("rollback", "--staged", "--dry-run")
    assert staged.code == 0 and "stage 1" in staged.out, staged


def test_what_never_comes_is_named_and_the_last_lines_are_shown(project: Project) -> None:
    make_silent(project, TRAIN, "{pattern: never}")
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 1")
    ended = project.run("trainer", "start")
    assert ended.code == 1, ended
    out = " ".join(ended.out.split())
    assert "not seen within 1 s: a line of its output matches 'never'; the process is alive (pid" in out
    assert "the end of logs/trainer.out: " in out
    assert state_of(project) == "starting"
    project.replace(RUNBOOK, "{pattern: never}", "{alive_s: 0.1}")
    assert state_of(project) == "running", "a start whose proof nobody waits for any more is not for ever"


def test_without_ready_the_message_says_what_to_write(project: Project) -> None:
    make_silent(project, TRAIN, "")
    project.replace(RUNBOOK, "ready_s: 20", "ready_s: 0.5")
    ended = project.run("trainer", "start")
    assert ended.code == 1, ended
    assert "trainer: {ready: {alive_s: 60}}" in " ".join(ended.out.split())


def test_exit_code_0_means_finished_and_a_signal_died(project: Project) -> None:
    make_silent(project, "sleep 0.8; exit 0\n", ALIVE)
    project.start_trainer()
    wait_for(lambda: state_of(project) == "finished")
    plan = project.run("rollback", "--immediate", "--dry-run").out
    assert "start the trainer from" not in plan.replace("this command does not start the trainer", "")
    make_silent(project, TRAIN, ALIVE)
    project.write(RUNBOOK, project.read(RUNBOOK).decode().replace(f"  ready: {ALIVE}\n", "", 1))
    project.start_trainer()
    os.kill(project.record()["pid"], signal.SIGKILL)
    wait_for(lambda: state_of(project) == "died")
    assert "killed by signal 9 (SIGKILL)" in " ".join(project.run("trainer", "status").out.split())


def test_a_launcher_that_ends_at_once_and_leaves_the_trainer_behind(project: Project) -> None:
    make_silent(project, "nohup setsid bash worker.sh > worker.log 2>&1 &\n", "{alive_s: 0.5}")
    project.write("worker.sh", "(cd /; exec sleep 100) & wait; exit 3\n")
    ended = project.run("trainer", "start", "--json")
    assert ended.code == 0, ended
    record = project.record()
    assert record["detached"] and record["pid"] == ended.json["data"]["pid"]
    assert state_of(project) == "running"
    [child] = _below(record["pid"])
    os.kill(child, signal.SIGTERM)
    wait_for(lambda: state_of(project) == "died")
    assert project.run("trainer", "status", "--json").json["data"]["last_event"]["exit_code"] == 3


def test_what_a_launcher_leaves_when_it_is_asked_to_stop_may_save_for_as_long_as_the_trainer(project: Project) -> None:
    """A shell ends at once; the trainer, its child, takes longer than the two seconds that orphans had once."""
    make_silent(project, "bash worker.sh\n", ALIVE)
    project.write("worker.sh", "trap 'sleep 3; echo weights > models/last.pth; exit 0' TERM\n" + TRAIN)
    project.start_trainer()
    stopped = project.run("trainer", "stop", "--json")
    assert stopped.code == 0 and stopped.json["data"]["saved"] == "models/last.pth", stopped
    assert project.read("models/last.pth") == b"weights\n" and "killing" not in stopped.err


def _below(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_stop_says_what_was_saved(project: Project) -> None:
    saves = "trap 'echo weights > models/last.pth; exit 0' TERM\n" + TRAIN
    make_silent(project, saves, ALIVE)
    os.utime(project.root / "models/last.pth", (1_700_000_000, 1_700_000_000))
    project.start_trainer()
    stopped = project.run("trainer", "stop", "--json")
    assert stopped.json["data"]["saved"] == "models/last.pth", stopped
    make_silent(project, TRAIN, "")
    project.start_trainer()
    os.utime(project.root / "models/last.pth", (1_700_000_000, 1_700_000_000))
    stopped = project.run("trainer", "stop")
    assert "no checkpoint was saved after it was asked to stop; the newest is models/" in " ".join(stopped.out.split())


def test_a_trainer_started_by_hand_is_known_by_its_patterns_and_without_them(project: Project) -> None:
    make_silent(project, TRAIN, ALIVE)
    (project.root / "deep").mkdir()
    child = subprocess.Popen(
        ["/bin/bash", f"{project.root}/train.sh"], cwd=project.root / "deep", stdout=subprocess.DEVNULL
    )
    try:
        found = project.run("trainer", "status", "--json").json["data"]["by_hand"]
        assert [trainer["pid"] for trainer in found] == [child.pid]
        make_silent(project, TRAIN, "", "patterns: ['other.sh']")
        assert project.run("trainer", "status", "--json").json["data"]["by_hand"] == []
        project.replace(RUNBOOK, "'other.sh'", "'^bash train[.]sh$'")
        assert len(project.run("trainer", "status", "--json").json["data"]["by_hand"]) == 1
    finally:
        child.kill()
        child.wait()


def test_output_and_environment_are_those_of_the_runbook(project: Project) -> None:
    make_silent(
        project, "echo FOO=$FOO N=$N $SPT_NOENV; sleep 100\n", ALIVE, "output: out/train.txt", "env: {FOO: a b, N: 3}"
    )
    project.start_trainer()
    assert project.read("out/train.txt") == b"FOO=a b N=3 1\n", "setproctitle must not write over the marks"
    assert "out/train.txt" in project.run("logs", "--json").out


@pytest.mark.parametrize("kind", ["dangling", "file"])
def test_a_folder_of_logs_that_is_none(project: Project, kind: str) -> None:
    make_silent(project, TRAIN, ALIVE)
    if kind == "file":
        project.write("logs", "")
    else:
        (project.root / "logs").symlink_to(project.root / "not-mounted" / "logs")
    ended = project.run("trainer", "start")
    assert ended.code == 5, ended
    assert ("make that folder, or mount its disk" if kind == "dangling" else "logs is a file") in ended.err
    assert not (project.root / "not-mounted").exists()


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["ready: {}"], "exactly one of these keys is needed"),
        (["ready: {alive_s: 1, pattern: x}"], "exactly one of these keys is needed"),
        (["ready: {alive_s: 1000}"], "is not between 0 and trainer.ready_s"),
        (["ready: {alive_s: -1}"], "is not between 0 and trainer.ready_s"),
        (["ready: {pattern: '('}"], "not a regular expression"),
        (['ready: {pattern: "step \\b"}'], "control character"),
        (["ready: {metrics: grows}"], "is not one of: , advances"),
        (["patterns: ['x*']"], "it matches every line"),
        (["env: {'A B': x}"], "is no name of an environment variable"),
        (["env: {ATFTCTL_RUN_ID: x}"], "atftctl sets the variables"),
        (["env: {WANDB_API_KEY: abc}"], "a secret does not belong in the runbook"),
        (["env: {DB: 'postgres://user:word@host/db'}"], "a secret does not belong in the runbook"),
        (["env: {N: 0.5}"], "a value of one of these types was expected"),
        (["output: ../x"], "does not stay inside the project"),
        (["output: .atftctl/x"], "must not be listed here"),
    ],
)
def test_the_runbook_is_checked(project: Project, lines: list[str], problem: str) -> None:
    make_silent(project, TRAIN, "", *lines)
    ended = project.run("runbook", "lint")
    assert ended.code != 0 and problem in " ".join((ended.out + ended.err).split()), ended


def test_a_command_that_does_not_exist(project: Project) -> None:
    make_silent(project, TRAIN, ALIVE, command="[no-such-program]")
    ended = project.run("trainer", "start")
    assert ended.code == 5 and "can't start no-such-program" in ended.err, ended
    assert json.loads(project.run("trainer", "status", "--json").out)["data"]["state"] == "never started"


def test_a_pattern_that_takes_exponential_time_ends_the_wait_and_not_the_tool(project: Project) -> None:
    script = "echo " + "a" * 60 + "\n" + TRAIN
    started = make_silent(project, script, "{pattern: '(a+)+b'}").run("trainer", "start", limit_s=60)
    assert started.code == 1, started
    out = " ".join(started.out.split())
    assert "trainer.ready.pattern of the runbook: its pattern takes too long" in out, started
    assert project.run("trainer", "stop").code == 0


def test_a_command_line_that_is_made_for_a_pattern_does_not_hold_up_status(project: Project) -> None:
    """Anybody on the machine may write one."""
    make_silent(project, TRAIN, ALIVE, "patterns: ['(a+)+b']")
    hostile = subprocess.Popen(["sh", "-c", "sleep 100; true", "a" * 60])
    by_hand = subprocess.Popen(["bash", "train.sh"], cwd=project.root, stdout=subprocess.DEVNULL)
    try:
        status = project.run("trainer", "status", limit_s=60)
        assert f"pid {by_hand.pid}" in status.out, status
    finally:
        for child in (hostile, by_hand):
            child.kill()
            child.wait()
