"""The batch script, and the keeper in it: run here by sh, as a node runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from atftctl.host.slurm.batch_script import BatchSpec, OnSignal, problem_of, script
from atftctl.host.slurm.errors import SlurmError


def spec(folder: Path, *command: str, **changes: Any) -> BatchSpec:
    values: dict[str, Any] = {
        "command": command, "work_dir": str(folder), "output": str(folder / "out"), "exits": str(folder / "run.json"),
        "name": "train", "mark": "run-1", "python": sys.executable,
    }  # fmt: skip
    return BatchSpec(**(values | changes))


def directives(made: BatchSpec) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script(made).decode().splitlines() if line.startswith("#SBATCH")]


def test_the_options(tmp_path: Path) -> None:
    made = spec(
        tmp_path, "python", "train.py", name='a "b" #c \\', output="/x y/100%.out", partition="gpu", account="lab", nodes=2,
        memory_mb=4000, time_limit="1-00:00:00", signal_before_s=300, extra=("--gres=gpu:1", "--qos high"), srun=True,
        on_signal=OnSignal.STEPS,
    )  # fmt: skip
    assert directives(made) == [
        "--gres=gpu:1",
        "--qos high",
        '--job-name="a \\"b\\" #c \\\\"',
        "--comment=run-1",
        "--partition=gpu",
        "--account=lab",
        "--nodes=2",
        "--ntasks-per-node=1",
        "--mem=4000M",
        "--time=1-00:00:00",
        f"--chdir={tmp_path}",
        '--output="/x y/100%%.out"',
        "--open-mode=append",
        "--no-requeue",
        "--export=ALL",
        "--signal=TERM@300",
    ]
    text = script(made).decode()
    assert text.splitlines()[-1].endswith(
        " srun --nodes=2 --ntasks-per-node=1 --kill-on-bad-exit=1 --export=ALL python train.py"
    )
    assert "PET_RDZV_ENDPOINT" in text
    assert directives(spec(tmp_path, "x"))[-1] == "--signal=B:TERM@120"
    assert "PET_" not in script(spec(tmp_path, "x", srun=True)).decode()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a\nb"}, {"mark": "a\x1bb"}, {"output": "/a\\b"}, {"time_limit": "soon"}, {"env": (("A B", "x"),)},
        {"env": (("A", "\0"),)}, {"extra": ("--gres=gpu:1\n#SBATCH --array=1-9",)}, {"extra": ("-a 1-9",)},
    ],
)  # fmt: skip
def test_what_can_not_be_written(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(SlurmError):
        script(spec(tmp_path, "x", **change))


def test_extra_options() -> None:
    for option in ("--gres=gpu:1", "--exclude=n1", "--hold", "--wait-all-nodes=1", "--qos high", "--export-nothing"):
        assert problem_of(option) == "", option
    for option in ("", "--", "gres", "-a 1", "--array=1-9", "--arr=1-9", "--requeue", "--gres=gpu:1 --array=1-9", "--comment=x",
                   "--gres=x\t-a 1", "--signal", "--out=/dev/null", "--e"):  # fmt: skip
        assert problem_of(option), option


# -- the keeper -------------------------------------------------------------------------------------------------------


class Node:
    """Runs batch scripts as slurmd does; whatever runs at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, job: str = "7", restarts: str = "", **changes: Any) -> subprocess.Popen[bytes]:
        file = self.folder / f"script-{job}-{restarts}"
        file.write_bytes(script(spec(self.folder, *command, **changes)))
        env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": job, "SLURM_CLUSTER_NAME": "c", "SLURMD_NODENAME": "n1"}
        env |= {"SLURM_RESTART_COUNT": restarts} if restarts else {}
        output = (self.folder / "out").open("ab")
        with output:
            child = subprocess.Popen(["sh", file], cwd=self.folder, env=env, stdout=output, stderr=output)
        self.jobs.append(child)
        return child

    def kept(self) -> dict[str, Any]:
        """What the keeper has written."""
        body = json.loads((self.folder / "run.json").read_text())
        assert isinstance(body, dict)
        return body

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 30
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    for child in made.jobs:
        if child.poll() is None:
            child.kill()
            child.wait()


def test_the_exit_code_is_kept(node: Node) -> None:
    child = node.start("sh", "-c", 'echo "$A" >value; exit 10', env=(("A", "it's $HOME\n2"),))
    assert child.wait(30) == 10
    kept = node.kept()
    assert (kept["job"], kept["cluster"], kept["restarts"], kept["host"]) == (7, "c", 0, "n1")
    assert [(end["pid"], end["code"]) for end in kept["ends"]] == [(kept["pid"], 10)]
    assert (node.folder / "value").read_text() == "it's $HOME\n2\n"
    assert sorted(os.listdir(node.folder)) == ["out", "run.json", "script-7-", "value"]


def test_a_signal_that_killed_it_is_kept(node: Node) -> None:
    assert node.start("sh", "-c", "kill -9 $$").wait(30) == 137
    assert [end["code"] for end in node.kept()["ends"]] == [-9]


def test_a_second_start_is_refused(node: Node) -> None:
    assert node.start("sh", "-c", "exit 3").wait(30) == 3
    before = (node.folder / "run.json").read_bytes()
    assert node.start("touch", "second", job="8").wait(30) == 17
    assert node.start("touch", "second", job="7", restarts="1").wait(30) == 17
    assert (node.folder / "run.json").read_bytes() == before
    assert not (node.folder / "second").exists()
    assert (node.folder / "out").read_text().count("has been started before and is not started again") == 2


def test_one_of_many_starts_at_the_same_time_wins(node: Node) -> None:
    children = [node.start("sh", "-c", "echo >>starts", job=str(number)) for number in range(8)]
    assert sorted(child.wait(60) for child in children) == [0, *[17] * 7]
    assert (node.folder / "starts").read_text() == "\n"


def test_a_command_or_folder_that_is_not_there(node: Node) -> None:
    assert node.start("./train").wait(30) == 127
    assert "atftctl: can't start ./train: No such file or directory" in (node.folder / "out").read_text()
    assert node.start("touch", "second", exits=str(node.folder / "not-here" / "run.json")).wait(30) == 127
    assert node.start("touch", "second", python=str(node.folder / "python")).wait(30) == 127
    assert not (node.folder / "second").exists()


def test_signals_are_passed_on_once(node: Node) -> None:
    trap = "trap 'echo x >>signals' TERM; touch ready; while [ ! -e leave ]; do sleep 0.05; done; exit 10"
    child = node.start("sh", "-c", trap)
    node.wait_for("ready")
    child.send_signal(signal.SIGTERM)
    node.wait_for("signals")
    child.send_signal(signal.SIGTERM)
    (node.folder / "leave").touch()
    assert child.wait(30) == 10
    assert (node.folder / "signals").read_text() == "x\n"


def test_a_signal_becomes_a_request(node: Node) -> None:
    request = (str(node.folder / "request.json"), '{"want": "stop"}')
    loop = "touch ready; while [ ! -e request.json ]; do sleep 0.05; done; exit 10"
    child = node.start("sh", "-c", loop, on_signal=OnSignal.REQUEST, stop_request=request)
    node.wait_for("ready")
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 10
    assert (node.folder / "request.json").read_text() == request[1]


def test_the_trainer_dies_with_its_keeper(node: Node) -> None:
    child = node.start("sh", "-c", "echo $$ >pid.new; mv pid.new pid; exec sleep 60", on_signal=OnSignal.STEPS)
    node.wait_for("pid")
    child.send_signal(signal.SIGTERM)  # for the steps, not for the command
    child.kill()
    child.wait(30)
    pid, deadline = int((node.folder / "pid").read_text()), time.monotonic() + 30
    with suppress(FileNotFoundError):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert node.kept()["ends"] == []


def test_a_daemon_is_waited_for(node: Node) -> None:
    child = node.start(
        "sh", "-c", "(sh -c 'touch ready; while [ ! -e leave ]; do sleep 0.05; done; exit 5' &) ; exit 0"
    )
    node.wait_for("ready")
    deadline = time.monotonic() + 30
    while not node.kept()["ends"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert child.poll() is None
    (node.folder / "leave").touch()
    assert child.wait(30) == 0
    assert 5 in [end["code"] for end in node.kept()["ends"]]
