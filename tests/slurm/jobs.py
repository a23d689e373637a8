"""Jobs of the tests: a stand-in trainer under our batch script."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from atftctl.host.slurm.batch_script import BatchSpec, script
from atftctl.host.slurm.facts import Job
from atftctl.host.slurm.submit import submit

TRAINER = str(Path(__file__).parent / "children" / "trainer.py")


def spec(folder: Path, run: str, *what: str, **changes: Any) -> BatchSpec:
    """A trainer that writes to RUN.log in the folder."""
    values: dict[str, Any] = {
        "command": (sys.executable, "-S", TRAINER, str(folder / f"{run}.log"), *(what or ("save",))),
        "work_dir": str(folder),
        "output": str(folder / f"{run}.out"),
        "exits": str(folder / "exits" / f"{run}.json"),
        "name": "trainer",
        "mark": mark(folder, run),
        "python": sys.executable,
    }
    return BatchSpec(**(values | changes))


def mark(folder: Path, run: str) -> str:
    """The word by which the job of a run is found; the cluster knows those of other tests, too."""
    return f"{run}@{folder.parent.name}"


def start(folder: Path, run: str, *what: str, **changes: Any) -> Job:
    """Submit it."""
    return submit(folder, script(spec(folder, run, *what, **changes)))


def by_hand(folder: Path, text: str, *options: str) -> Job:
    """Submit a script as somebody without us would."""
    return submit(folder, f"#!/bin/sh\n{text}\n".encode(), options=("--output=/dev/null", *options))


def log(folder: Path, run: str) -> list[str]:
    """What the trainer has written."""
    file = folder / f"{run}.log"
    return file.read_text().splitlines() if file.exists() else []


def exits(folder: Path, run: str) -> dict[str, Any]:
    """What the keeper has written; {} where it has not begun."""
    file = folder / "exits" / f"{run}.json"
    body = json.loads(file.read_text()) if file.exists() else {}
    assert isinstance(body, dict)
    return body
