"""Checkpoints without torch: zip files as `torch.save` writes them, and the trainer's reports of them."""

from __future__ import annotations

import io
import os
import time
import zipfile
from hashlib import sha256
from pathlib import Path

from atftctl import protocol
from atftctl.protocol.checkpoints import HISTORY, history_name
from tests.support.projects import ROOT, RUNBOOK, Project

GRADING = ROOT / "tests" / "support" / "children" / "grading.py"
LAST = protocol.LAST
STEP_S = 2.0  # seconds that a step of these runs takes


def checkpoint(word: str, step: int) -> bytes:
    """A whole checkpoint; `word`: what training from it does, see children/grading.py."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("word", word)
        archive.writestr("weights", b"%d " % step * 500)
    return data.getvalue()


def rung(step: int, generation: int = 1) -> str:
    return f"{HISTORY}/{history_name(step, generation)}"


def climb(project: Project, *words: str, first: int = 100, every: int = 100, generation: int = 1) -> list[str]:
    """A run that saved a checkpoint for each word, the oldest first; return their paths, the newest (last.pth) first."""
    use_grading(project)
    begun = time.time() - 3600
    event(project, protocol.STARTED, first - every, generation, begun, digest="d", resumed_from="scratch")
    paths = []
    for number, word in enumerate(words):
        step = first + number * every
        at = begun + (number + 1) * every * STEP_S
        path = rung(step, generation)
        project.write(path, checkpoint(word, step))
        os.utime(project.root / path, (at, at))
        digest = sha256(project.read(path)).hexdigest()
        event(project, protocol.CHECKPOINT, step, generation, at, path=LAST, sha256=digest)
        paths.insert(0, path)
    last = project.root / LAST
    last.unlink(missing_ok=True)
    last.hardlink_to(project.root / paths[0])
    return [LAST, *paths[1:]]


def event(project: Project, name: str, step: int, generation: int, at: float, **fields: object) -> None:
    line = protocol.event_line(
        name, t=at, pid=1, run_id=f"run-{generation}", step=step, generation=generation, **fields
    )
    path = project.root / protocol.EVENTS
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(line)


def use_grading(project: Project) -> None:
    """Let the runbook's probe be the stand-in that grades."""
    text = project.read(RUNBOOK).decode()
    line = next(line for line in text.splitlines() if line.startswith("  probe:"))
    project.replace(RUNBOOK, line, f'  probe: ["{{python}}", {GRADING}]')


def with_floor(project: Project, grade: str, again: str = "settings") -> None:
    """Let the symptom divergence resume from the newest checkpoint of this grade; `again`: the next remedy."""
    old = "    resume: best  # last.pth may contain the diverged weights\n"
    project.replace(RUNBOOK, old, f"    resume: last\n    resume_grade: {grade}\n    again: {again}\n")


def graded(project: Project) -> list[str]:
    """The names of the checkpoints that the probe was asked for, in order."""
    path = project.root / "graded"
    return path.read_text().split() if path.exists() else []


def damage(path: Path) -> None:
    """Flip bits, in a file of its own."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 50):
        data[at] ^= 255
    times = path.stat()
    path.unlink()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
