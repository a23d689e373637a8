"""Two processes under torchrun: the same losses, one stop for all, and nobody left over when one is gone."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from atftctl import protocol
from atftctl.protocol import TrainerExit
from tests.support.projects import ROOT, wait_for
from tests.trainer.conftest import IMPROVED, settings_of
from tests.trainer.test_loop import events

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--max-restarts", "0", "--nproc-per-node", "2"]
RUN = "run-1"


def start(root: Path, processes: int, *, resume: str = "last", **changes: Any) -> subprocess.Popen[bytes]:
    root.mkdir(exist_ok=True)
    values = settings_of(**{**IMPROVED, **changes})
    (root / "config.yaml").write_text(yaml.safe_dump(values))
    words = [
        sys.executable,
        *(LAUNCH if processes == 2 else []),
        "-m",
        "atftctl.trainer",
        "train",
        "--config",
        "config.yaml",
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), protocol.RUN_ID: RUN, "OMP_NUM_THREADS": "1"}
    with (root / "out").open("wb") as out:
        return subprocess.Popen([*words, "--resume", resume], cwd=root, env=env, stdout=out, stderr=out)


def losses(root: Path) -> list[float]:
    if not (root / protocol.METRICS).exists():
        return []
    with (root / protocol.METRICS).open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def said(root: Path, name: str) -> list[dict[str, Any]]:
    return [event for event in events(root) if event["event"] == name]


def test_two_processes_train_as_one_does_and_resume(tmp_path: Path) -> None:
    """The same global batch of four dates: the losses agree to 1e-5, also over a stop and a resume in between, and so
    do the running statistics and RankIC, which each process measures a half of."""
    training = {"dates_per_step": 4, "evaluate_every": 3, "threads": 1}
    whole = start(tmp_path / "one", 1, training={**training, "max_steps": 9})
    assert whole.wait(120) == TrainerExit.FINISHED
    for steps in (4, 9):
        child = start(tmp_path / "two", 2, training={**training, "max_steps": steps})
        assert child.wait(120) == 0, (tmp_path / "two/out").read_text()
    assert said(tmp_path / "two", protocol.STARTED)[1]["world_size"] == 2
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 9
    assert two == pytest.approx(one, abs=1e-5)
    left, right = (said(tmp_path / name, protocol.EVALUATED)[-1] for name in ("one", "two"))
    assert right["dates"] == left["dates"] and right["rankic_h1"] == pytest.approx(left["rankic_h1"], abs=1e-4)


def test_a_request_stops_all_processes_at_one_step(tmp_path: Path) -> None:
    child = start(tmp_path, 2, training={"dates_per_step": 2})
    try:
        wait_for(lambda: len(losses(tmp_path)) > 2, 60)
        temp = tmp_path / "request"
        temp.write_text(f'{{"run_id": "{RUN}", "id": "1", "want": "stop"}}')
        temp.replace(tmp_path / protocol.REQUEST)
        assert child.wait(120) == 0
    finally:
        child.kill()
    [last] = said(tmp_path, protocol.STOPPED)
    assert last["exit_code"] == TrainerExit.STOPPED and last["step"] == len(losses(tmp_path))
    assert not (tmp_path / protocol.REQUEST).exists()


def test_a_batch_that_can_not_be_shared_is_refused(tmp_path: Path) -> None:
    child = start(tmp_path, 2, training={"dates_per_step": 3})
    assert child.wait(120) != 0
    [last] = said(tmp_path, protocol.STOPPED)
    assert last["exit_code"] == TrainerExit.BAD_SETTINGS and "a multiple of 2 can" in last["reason"]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_run_with_a_typed_event_and_nobody_left(tmp_path: Path, victim: int) -> None:
    child = start(tmp_path, 2, training={"dates_per_step": 2})
    try:
        wait_for(lambda: len(losses(tmp_path)) > 2, 60)
        workers = {one.environ()["RANK"]: one for one in psutil.Process(child.pid).children()}
        workers[str(victim)].send_signal(signal.SIGKILL)
        assert child.wait(120) != 0
        assert not psutil.wait_procs(list(workers.values()), timeout=120)[1]
    finally:
        child.kill()
    [lost] = said(tmp_path, protocol.WORKER_LOST)
    assert lost.get("rank", 0) == 1 - victim
    assert said(tmp_path, protocol.STOPPED)[-1]["exit_code"] == TrainerExit.WORKER_LOST
