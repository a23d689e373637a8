"""Two processes: the same losses, one stop for all, and nobody left over when one is gone, also under torchrun."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from atftctl import protocol
from atftctl.protocol import TrainerExit
from tests.support import warm
from tests.support.projects import ROOT, wait_for
from tests.trainer.conftest import IMPROVED, settings_of
from tests.trainer.test_loop import events

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--max-restarts", "0", "--nproc-per-node", "2"]
RUN = "run-1"


PROGRAM = ("-m", "atftctl.trainer", "train", "--config", "config.yaml")


def prepare(root: Path, **changes: Any) -> Mapping[str, str]:
    """Write the config into a run folder; return the environment of its trainer."""
    root.mkdir(exist_ok=True)
    (root / "config.yaml").write_text(yaml.safe_dump(settings_of(**{**IMPROVED, **changes})))
    return {**os.environ, "PYTHONPATH": str(ROOT), protocol.RUN_ID: RUN, "OMP_NUM_THREADS": "1"}


def start(root: Path, processes: int, **changes: Any) -> warm.Child | warm.Pair:
    """Start a trainer of one process or of two."""
    env = prepare(root, **changes)
    begin = warm.Pair if processes == 2 else warm.start
    return begin(PROGRAM, cwd=root, env=env, out=root / "out")


def launch(root: Path, **changes: Any) -> subprocess.Popen[bytes]:
    """Start a trainer of two processes by torchrun."""
    env = prepare(root, **changes)
    with (root / "out").open("wb") as out:
        return subprocess.Popen([sys.executable, *LAUNCH, *PROGRAM], cwd=root, env=env, stdout=out, stderr=out)


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


def assert_lost(root: Path, *, to: int) -> None:
    """The process of this rank said that it lost the other one."""
    [lost] = said(root, protocol.WORKER_LOST)
    assert lost.get("rank", 0) == to
    assert said(root, protocol.STOPPED)[-1]["exit_code"] == TrainerExit.WORKER_LOST


@pytest.mark.long
def test_a_killed_process_ends_the_run_with_a_typed_event_and_nobody_left(tmp_path: Path) -> None:
    child = launch(tmp_path, training={"dates_per_step": 2})
    try:
        wait_for(lambda: len(losses(tmp_path)) > 2)
        workers = {worker.environ()["RANK"]: worker for worker in psutil.Process(child.pid).children()}
        workers["0"].send_signal(signal.SIGKILL)
        assert child.wait(120) != 0
        assert not psutil.wait_procs(list(workers.values()), timeout=120)[1]
    finally:
        child.kill()
    assert_lost(tmp_path, to=1)


def test_the_main_process_ends_by_itself_when_another_is_killed(tmp_path: Path) -> None:
    pair = start(tmp_path, 2, training={"dates_per_step": 2})
    assert isinstance(pair, warm.Pair)
    try:
        wait_for(lambda: len(losses(tmp_path)) > 2)
        pair.children[1].kill()
        assert pair.children[0].wait() == TrainerExit.WORKER_LOST
    finally:
        pair.kill()
    assert_lost(tmp_path, to=0)
