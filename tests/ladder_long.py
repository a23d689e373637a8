"""Damage planted in random checkpoints of a real run, and rolled back each time: `make ladder-long`.

The rollback must never resume from a bad checkpoint, and must take the newest of the good ones.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

from atftctl.domain.checkpoint import Checkpoints
from atftctl.observe.checkpoints.ladder import ladder
from atftctl.protocol import EVENTS, LAST, PREVIOUS
from atftctl.protocol.checkpoints import HISTORY
from atftctl.state.layout import Layout
from tests.support import damage
from tests.support.projects import (
    CONFIG,
    RUNBOOK,
    TRAINING,
    Ended,
    Project,
    make_project,
    processes_of,
    real_trainer,
    wait_for,
)

DIVERGED = ("rollback", "--symptom", "divergence", "--yes", "--no-restart")
RUNGS = 6
TRIES, AGAIN, HANGS_S = 5, "run this command again", 1200.0


def climbed(project: Project) -> list[str]:
    """Train until there is a ladder, and stop; return the paths of its rungs, the newest first.

    The symptom divergence resumes from the newest checkpoint from which training goes on.
    """
    for name in ("output_head_small_init: true", "enable_wandb: true"):
        project.replace(CONFIG, name, name.replace("true", "false"))
    project.replace(TRAINING, "max_steps: 100000", "max_steps: 2000")
    project.replace(TRAINING, "checkpoint_every: 50", "checkpoint_every: 10")
    project.replace(TRAINING, "warmup_steps: 100", "warmup_steps: 5")
    old = "    resume: best  # last.pth may contain the diverged weights\n"
    project.replace(RUNBOOK, old, "    resume: last\n    resume_grade: steps\n")
    project.start_trainer()
    wait_for(lambda: len(list((project.root / HISTORY).glob("*"))) >= RUNGS - 1, 240)
    assert project.run("trainer", "stop").code == 0
    wait_for(lambda: not processes_of(project.root))
    return files_of(project)


def files_of(project: Project) -> list[str]:
    """Every file that holds a checkpoint of the run, in the order in which they should be tried."""
    rungs = ladder(Layout(project.root, project.root / RUNBOOK), Checkpoints()).rungs
    history = [f"{HISTORY}/{name}" for name in os.listdir(project.root / HISTORY)]
    names = []
    for rung in rungs:
        same = [name for name in (LAST, *history, PREVIOUS) if (project.root / name).samefile(project.root / rung.path)]
        names += same
    return names


def taken(done: Ended) -> str:
    """The checkpoint that a rollback resumed from."""
    [note] = [note for note in done.json["data"]["plan"]["notes"] if note.startswith("the trainer resumes from")]
    return str(note.split()[4])


def plant(project: Project, path: str, kind: str, chance: random.Random) -> None:
    """Damage one file. What a bad run saves has the hash that the trainer reports, so it is reported here, too."""
    before = sha256((project.root / path).read_bytes()).hexdigest()
    damage.KINDS[kind](project.root / path, chance)
    if kind in ("NaN weights", "diverges later"):
        log = project.root / EVENTS
        saved = [line for line in log.read_text().splitlines() if before in line][-1]
        after = sha256((project.root / path).read_bytes()).hexdigest()
        with log.open("a") as file:
            file.write(saved.replace(before, after) + "\n")


def rolled_back(project: Project) -> Ended:
    """Roll back; again, as the hint says, where a busy machine could not measure enough checkpoints in the time."""
    for _ in range(TRIES):
        done = project.run(*DIVERGED, "--json", limit_s=HANGS_S)
        if done.code != 3 or AGAIN not in done.json["error"]["hint"]:
            return done
    return done


def strike(project: Project, paths: list[str], chance: random.Random) -> tuple[list[str], str]:
    """Damage some of the newest checkpoints, and roll back; return (the kinds of damage, what was wrong or "")."""
    bad = chance.randrange(0, len(paths))
    harmed = [place for place in range(len(paths)) if place < bad or chance.random() < 0.2]
    kinds = []
    for place in harmed:
        kind = chance.choice([*damage.KINDS])
        kinds.append(kind)
        plant(project, paths[place], kind, chance)
    good = next((path for place, path in enumerate(paths) if place not in harmed), "")
    done = rolled_back(project)
    if not good:
        return kinds, "" if done.code == 3 else f"none is good, and yet: {done}"
    if done.code != 0:
        return kinds, f"refused, though {good} is good: {done}"
    wrong = (
        f"{taken(done)} was taken, and {good} is the newest good one of {paths}: {done.json['data']['plan']['notes']}"
    )
    return kinds, "" if taken(done) == good else wrong


def main(times: int, seed: int) -> int:
    """Strike so many times; print the figures; the exit code."""
    seconds, kinds, faults = list[float](), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder, "project"), Path(folder, "violations"))
        paths = climbed(real_trainer(project))
        fresh = Path(folder, "fresh")
        subprocess.run(["cp", "-a", project.root, fresh], check=True)  # with its hard links
        for number in range(times):
            shutil.rmtree(project.root)
            subprocess.run(["cp", "-a", fresh, project.root], check=True)
            begun = time.monotonic()
            planted, wrong = strike(project, paths, random.Random(seed + number))
            seconds.append(time.monotonic() - begun)
            kinds.update(planted)
            print(
                f"{number + 1}: {', '.join(planted) or 'no damage'}: {wrong or 'right'} ({seconds[-1]:.0f} s)",
                flush=True,
            )
            faults += bool(wrong)
    seconds.sort()
    print(f"{times - faults} of {times} right; {sum(kinds.values())} damages: {dict(kinds)}")
    print(f"seconds of a rollback: median {seconds[times // 2]:.1f}, longest {seconds[-1]:.1f}")
    return int(faults > 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
