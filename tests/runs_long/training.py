"""Train healthy runs with the real trainer, some side by side; what is there already is not trained again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from atftctl.protocol import EVENTS, METRICS, TrainerExit
from tests.runs_long.kinds import nested, settings_of

ROOT = Path(__file__).resolve().parents[2]
KEPT = {METRICS: "metrics.csv", EVENTS: "events.jsonl", "config.yaml": "config.yaml"}
LIMIT_S = 1800  # of one run
LOOK_S = 0.5


@dataclass
class Run:
    """One finished run in its folder. `failed`: why it is no healthy run; "" where it is one."""

    name: str
    folder: Path
    seconds: float = 0.0
    failed: str = ""

    @property
    def metrics(self) -> Path:
        """Its metrics."""
        return self.folder / "metrics.csv"

    @property
    def events(self) -> Path:
        """Its events."""
        return self.folder / "events.jsonl"


def finished(folder: Path) -> list[Run]:
    """The runs that this folder holds, by name."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [Run(name, folder / name) for name in names if (folder / name / "metrics.csv").is_file()]


def train_all(count: int, steps: int, folder: Path, jobs: int) -> Iterator[Run]:
    """Train the runs 0 to count - 1 of which the folder holds no metrics, as they end."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {run.name for run in finished(folder)}
    wanted = [number for number in range(count) if settings_of(number)[0] not in known]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda number: train(number, steps, folder), wanted)


def train(number: int, steps: int, folder: Path) -> Run:
    """Train one run of at least so many steps; its metrics appear in the folder when it has ended."""
    name, settings = settings_of(number)
    begun, scratch = time.monotonic(), folder / f".{name}"
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "logs").mkdir(parents=True)
    (scratch / "config.yaml").write_text(json.dumps({**nested({"training.max_steps": 100_000, **settings})}, indent=1))
    failed = _ended(scratch, steps)
    run = Run(name, folder / name, time.monotonic() - begun, failed)
    if failed:
        (folder / f"{name}.failed").write_text(f"{failed}\n")
        return run
    kept = folder / f".{name}.kept"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for source, target in KEPT.items():
        shutil.copy(scratch / source, kept / target)
    kept.rename(run.folder)
    shutil.rmtree(scratch)
    return run


def _ended(scratch: Path, steps: int) -> str:
    """Train in this folder until the steps are done; why the run is not healthy, or ""."""
    command = (sys.executable, "-m", "atftctl.trainer", "train", "--resume", "scratch", "--config", "config.yaml")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ATFTCTL")},
        "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with (scratch / "out").open("wb") as out:
        child = subprocess.Popen(
            command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            code = _waited(child, scratch / METRICS, steps)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if code not in (TrainerExit.FINISHED, TrainerExit.STOPPED):
        return f"exit {code}: {(scratch / 'out').read_text(errors='replace')[-500:]}"
    return ""


def _waited(child: subprocess.Popen[bytes], metrics: Path, steps: int) -> int:
    """Stop the trainer as a person would once it has written so many rows; its exit code."""
    deadline, asked = time.monotonic() + LIMIT_S, False
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        if not asked and metrics.is_file() and metrics.read_bytes().count(b"\n") > steps:
            child.send_signal(signal.SIGTERM)
            asked = True
    return child.wait(1) if child.poll() is not None else -1
