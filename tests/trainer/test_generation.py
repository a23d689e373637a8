"""The real trainer and newer starts: what it stages where, and that a late save replaces nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from atftctl import protocol
from atftctl.protocol import TrainerExit, generations
from atftctl.trainer.errors import FencedError
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.telemetry.recorder import Recorder
from tests.support import warm
from tests.support.projects import ROOT, wait_for
from tests.trainer.conftest import settings_of
from tests.trainer.test_loop import events
from tests.trainer.test_processes import PROGRAM

Make = Callable[..., Any]
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount, or give a folder away")
# Stops itself, as a lost machine does, between the comparison of the numbers and the rename of a checkpoint.
STOPPED_BEFORE_RENAME = """
import os, pathlib, signal, sys
rename = pathlib.Path.replace
def replace(self, target):
    if pathlib.Path("stop-now").exists() and pathlib.Path(target).name == "last.pth":
        os.kill(os.getpid(), signal.SIGSTOP)
    return rename(self, target)
pathlib.Path.replace = replace
sys.argv = ["trainer", "train", "--config", "config.yaml"]
from atftctl.trainer.__main__ import main
sys.exit(main())
"""


def newer_start(root: Path, number: int) -> None:
    """What a start writes and renames; by other code than the product's."""
    (root / ".atftctl").mkdir(parents=True, exist_ok=True)
    (root / protocol.COUNTER).write_text(f"{number}\n")
    for folder in (root / "run", root / "models"):
        for path in [*folder.glob("[0-9]*"), *folder.glob(".atftctl-run-*")]:
            if not path.name.endswith((".fenced", str(number))):
                path.rename(f"{path}.fenced")


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers that are made in this test are generation 1."""
    monkeypatch.setenv(protocol.GENERATION, "1")


@pytest.fixture
def mounts() -> Iterator[Callable[..., None]]:
    """Mount something for the test."""
    made: list[Path] = []

    def mount(place: Path, *options: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["mount", *options, str(place)], check=False).returncode:
            pytest.skip("nothing can be mounted here")
        made.append(place)

    yield mount
    for place in reversed(made):
        subprocess.run(["umount", "-l", str(place)], check=True)


def prepare(root: Path, **training: Any) -> dict[str, str]:
    """Write the config into a run folder; return the environment of its trainer, which is generation 1."""
    values = settings_of(training={"checkpoint_every": 5, "max_steps": 10**6, **training})
    (root / "config.yaml").write_text(yaml.safe_dump(values))
    return {**os.environ, "PYTHONPATH": str(ROOT), protocol.GENERATION: "1", "OMP_NUM_THREADS": "1"}


def stopped(child: warm.Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "T"


def test_a_number_is_in_every_event_row_and_checkpoint(
    make: Make, first: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make()
    trainer.recorder.metrics({"step": 1})
    assert trainer.save(protocol.LAST)
    assert {event["generation"] for event in events(trainer.root)} == {1}
    header, row = (trainer.root / protocol.METRICS).read_text().splitlines()
    assert header.endswith(",generation") and row.endswith(",1")
    assert torch.load(trainer.root / protocol.LAST, weights_only=True)["generation"] == 1
    monkeypatch.setenv(protocol.GENERATION, "2")
    make(root=trainer.root).resume("last")
    started = events(trainer.root)[-1]
    assert (started["generation"], started["resumed_generation"]) == (2, 1)


def test_metrics_of_an_earlier_version_begin_a_file_of_their_own(tmp_path: Path) -> None:
    old = "step,epoch,loss,loss_rel,mse,val_loss,rankic_h1,grad_norm,lr,rss_mb,step_s\n1,0,1,1,1,,,1,1,1,1\n"
    (tmp_path / "logs").mkdir()
    (tmp_path / protocol.METRICS).write_text(old)
    Recorder(tmp_path, (1,)).metrics({"step": 2})
    assert (tmp_path / "logs/metrics.csv.1").read_text() == old
    assert (tmp_path / protocol.METRICS).read_text().splitlines()[1].startswith("2,")


def test_a_newer_start_keeps_an_older_trainer_from_saving(make: Make, first: None) -> None:
    trainer = make()
    assert trainer.save(protocol.LAST)
    before = (trainer.root / protocol.LAST).read_bytes()
    (trainer.root / ".atftctl").mkdir()
    (trainer.root / protocol.COUNTER).write_text("2\n")
    with pytest.raises(FencedError, match=r"generation 2 was started after this one \(1\)"):
        trainer.save(protocol.LAST, must=True)
    assert (trainer.root / protocol.LAST).read_bytes() == before
    assert not [event for event in events(trainer.root) if event["event"] == protocol.SAVE_FAILED]


def test_a_renamed_folder_is_enough(make: Make, first: None) -> None:
    """A stop and a rollback rename the folder without a new number."""
    trainer = make()
    assert trainer.save(protocol.LAST)
    (trainer.root / "run/1").rename(trainer.root / "run/1.fenced")
    with pytest.raises(FencedError, match="counts as stopped"):
        trainer.save(protocol.LAST)


def test_a_folder_that_was_deleted_is_made_again(make: Make, first: None) -> None:
    trainer = make()
    assert trainer.save(protocol.LAST)
    shutil.rmtree(trainer.root / "run")
    assert trainer.save(protocol.LAST) and (trainer.root / "run/1/.gitignore").exists()


@pytest.mark.parametrize("content", ["", "x", "-1", "9" * 30, "a pipe", "2 by anybody", "2 by a stranger"])
def test_a_counter_that_can_not_be_read_or_trusted_stops_nobody(make: Make, first: None, content: str) -> None:
    trainer = make()
    counter = trainer.root / protocol.COUNTER
    counter.parent.mkdir()
    if content == "a pipe":
        os.mkfifo(counter)
    else:
        counter.write_text(content.partition(" ")[0])
    if content == "2 by anybody":
        counter.chmod(0o666)
    if content == "2 by a stranger":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        os.chown(counter, 12345, 12345)
    assert trainer.save(protocol.LAST)


def test_a_number_of_another_run_folder_is_not_compared(
    make: Make, first: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A script that was started with a number in one project trains in a second one, which has had more starts."""
    monkeypatch.setenv(protocol.GENERATION_ROOT, str(tmp_path / "gone"))  # as in a container: it can't be told
    assert make().generation.number == 1
    monkeypatch.setenv(protocol.GENERATION_ROOT, str(tmp_path))
    second = tmp_path / "second"
    newer_start(second, 9)
    trainer = make(root=second)
    assert trainer.generation.number == 0 and trainer.save(protocol.LAST)


def test_the_run_folder_of_somebody_else_is_not_used(make: Make, first: None, tmp_path: Path) -> None:
    for number, kind in enumerate(("file", "symlink", "full", "unmarked")):
        root = tmp_path / f"run{number}x"
        trainer = make(root=root)
        if kind == "file":
            (root / "run").write_text("mine")
        elif kind == "symlink":
            (tmp_path / "elsewhere").mkdir()
            (root / "run").symlink_to(tmp_path / "elsewhere")
        else:
            (root / "run/1").mkdir(parents=True)
            name = "mine" if kind == "full" else generations.MARK
            (root / "run/1" / name).write_text("mine")
        assert trainer.save(protocol.LAST)
        assert (root / "models/.atftctl-run-1").is_dir()
    assert (root / "run/1" / generations.MARK).read_text() == "mine"
    assert not list((tmp_path / "elsewhere").iterdir())


@needs_root
@pytest.mark.parametrize("kind", ["another file system", "another mount of the same"])
def test_checkpoints_on_another_disk_are_staged_beside_them(
    make: Make, first: None, tmp_path: Path, mounts: Callable[..., None], kind: str
) -> None:
    root = tmp_path / "on-two-disks"
    if kind == "another file system":
        mounts(root / "models", "-t", "tmpfs", "tmpfs")
    else:
        (tmp_path / "disk").mkdir()
        mounts(root / "models", "--bind", str(tmp_path / "disk"))
    trainer = make(root=root)
    assert trainer.save(protocol.LAST) and trainer.save(protocol.LAST)
    assert (root / protocol.PREVIOUS).exists() and (root / "models/.atftctl-run-1").is_dir()
    newer_start(root, 2)
    with pytest.raises(FencedError):
        trainer.save(protocol.LAST)


@needs_root
def test_a_checkpoint_gets_the_group_of_a_shared_folder(make: Make, first: None) -> None:
    trainer = make()
    models = trainer.root / "models"
    models.mkdir(exist_ok=True)
    os.chown(models, 0, 12500)
    models.chmod(0o2775)
    assert trainer.save(protocol.LAST)
    assert (trainer.root / protocol.LAST).stat().st_gid == 12500


def test_a_trainer_stopped_before_its_rename_replaces_nothing(tmp_path: Path) -> None:
    """The real trainer, stopped as a lost machine is; meanwhile a newer one is started and saves; then it goes on."""
    child = warm.start(("-c", STOPPED_BEFORE_RENAME), cwd=tmp_path, env=prepare(tmp_path), out=tmp_path / "out")
    try:
        wait_for(lambda: (tmp_path / protocol.LAST).exists(), 60)
        (tmp_path / "stop-now").touch()
        wait_for(lambda: stopped(child), 60)
        assert list((tmp_path / "run/1").glob(".last.pth.*.tmp"))
        newer_start(tmp_path, 2)
        (tmp_path / protocol.LAST).write_bytes(b"newer weights")
        child.send_signal(signal.SIGCONT)
        assert child.wait(120) == TrainerExit.FENCED
    finally:
        child.kill()
        child.wait(120)
    assert (tmp_path / protocol.LAST).read_bytes() == b"newer weights"
    fenced, last = events(tmp_path)[-2:]
    assert (fenced["event"], fenced["newer"]) == (protocol.FENCED, 2)
    assert last["exit_code"] == TrainerExit.FENCED and "generation 2 was started after this one" in last["reason"]
    assert not [event for event in events(tmp_path) if event["event"] == protocol.SAVE_FAILED]


def test_all_processes_leave_when_a_newer_trainer_is_started(tmp_path: Path) -> None:
    child = warm.Pair(PROGRAM, cwd=tmp_path, env=prepare(tmp_path, dates_per_step=2), out=tmp_path / "out")
    try:
        wait_for(lambda: (tmp_path / protocol.LAST).exists(), 60)
        newer_start(tmp_path, 2)
        (tmp_path / protocol.LAST).write_bytes(b"newer weights")
        assert child.wait(120) == TrainerExit.FENCED
    finally:
        child.kill()
        child.wait(120)
    assert (tmp_path / protocol.LAST).read_bytes() == b"newer weights"
    assert {event["generation"] for event in events(tmp_path)} == {1}
    ends = [event for event in events(tmp_path) if event["event"] == protocol.STOPPED]
    assert [event["exit_code"] for event in ends] == [TrainerExit.FENCED]


def test_a_comparison_costs_microseconds(tmp_path: Path) -> None:
    (tmp_path / ".atftctl").mkdir()
    (tmp_path / protocol.COUNTER).write_text("1\n")
    own = Generation(tmp_path)
    begun = time.process_time()
    for _ in range(1000):
        own.check()
    assert time.process_time() - begun < 5.0, "it reads one small file"
    assert generations.newest(tmp_path) == 1
