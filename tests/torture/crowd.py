"""Real processes: `rollback` killed at any time, and two operators at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.projects import CONFIG, Project, make_project, processes_of, real_trainer, wait_for

ROLL_BACK = ("rollback", "--immediate", "--yes", "--json")


@dataclass
class Told:
    """What came of it."""

    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def words(self, what: str) -> str:
        ends = ", ".join(f"{name} {count}" for name, count in sorted(self.ends.items()))
        return f"{self.runs} {what}, {len(self.failures)} failures ({ends})"


def fresh(template: Project, folder: Path, number: int) -> Project:
    root = folder / f"run{number}"
    subprocess.run(["cp", "-a", str(template.root), str(root)], check=True)
    return Project(root, template.env)


def kills(folder: Path, count: int, seed: int, *, real: bool = False) -> Told:
    """SIGKILL at a random time of a rollback with its trainer; then `recover`, and the trainer as it is wanted."""
    told, rng = Told(), random.Random(seed)
    template = make_project(folder / "template", folder / "violations")
    if real:
        real_trainer(template)
    before = template.configs()
    after, seconds = _uninterrupted(fresh(template, folder, 0))
    for number in range(1, count + 1):
        project = fresh(template, folder, number)
        try:
            wrong = _kill_one(project, rng.uniform(0, seconds * 1.1), before, after, told)
        finally:
            clean(project)
        told.runs += 1
        if wrong:
            told.failures.append(f"kill {number} of seed {seed}: {wrong}")
        else:
            shutil.rmtree(project.root)
    return told


def _uninterrupted(project: Project) -> tuple[tuple[bytes, bytes], float]:
    assert project.run("trainer", "start").code == 0
    begun = time.monotonic()
    done = project.run(*ROLL_BACK)
    seconds = time.monotonic() - begun
    assert done.code == 0, done
    clean(project)
    after = project.configs()
    shutil.rmtree(project.root)
    return after, seconds


def _kill_one(project: Project, at: float, before: tuple[bytes, bytes], after: tuple[bytes, bytes], told: Told) -> str:
    assert project.run("trainer", "start").code == 0
    child = project.start(*ROLL_BACK)
    time.sleep(at)
    child.kill()
    child.communicate()
    told.ends["killed" if child.returncode == -signal.SIGKILL else f"exit {child.returncode}"] += 1
    recovered = project.run("recover")
    if recovered.code:
        return f"recover ends with {recovered.code}: {recovered.err}"
    stands = project.configs()
    told.ends["new" if stands == after else "old"] += 1
    if stands not in (before, after):
        return "a mixture"
    if child.returncode == 0 and stands != after:
        return "an acknowledged rollback was lost"
    if left := [path.name for path in project.root.rglob("*.staged")]:
        return f"left lying about: {left}"
    state = project.run("trainer", "status", "--json").json["data"]
    if state["state"] not in ("starting", "running"):
        return f"no trainer runs: {state['state']}"
    if len(running := trainers(project)) != 1:
        return f"{len(running)} trainers run"
    if stands == after and project.run("undo", "--yes").code == 0 and project.configs() != before:
        return "undo is not exact"
    return ""


def trainers(project: Project) -> list[int]:
    """Main processes of trainers in this project."""
    found = []
    for pid in processes_of(project.root):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"train" in words and os.getpgid(pid) == pid:
            found.append(pid)
    return found


def clean(project: Project) -> None:
    for pid in processes_of(project.root):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not processes_of(project.root))


def pairs(folder: Path, count: int, seed: int) -> Told:
    """Two operators at the same instant: exactly one at a time, a clear refusal, nobody waits for ever."""
    told, rng = Told(), random.Random(seed)
    template = make_project(folder / "pairs", folder / "violations")
    commands = (
        ("rollback", "--immediate", "--yes"), ("backup",), ("config", "set", "gat_temperature", "0.9", "--yes"),
        ("rollback", "--feature", "use_ema", "--yes"), ("restore", "latest", "--yes"), ("backup", "prune", "--yes"),
    )  # fmt: skip
    template.run("backup")
    template.replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    for number in range(count):
        project = fresh(template, folder, number)
        children = [project.start(*rng.choice(commands), "--reason", f"operator {one}") for one in range(2)]
        try:
            ends = [child.communicate(timeout=120) for child in children]
        except subprocess.TimeoutExpired:
            told.failures.append(f"pair {number} of seed {seed}: somebody waits for ever")
            continue
        told.runs += 1
        codes = [child.returncode for child in children]
        told.ends[" and ".join(sorted(map(str, codes)))] += 1
        wrong = _pair(project, codes, [err for _, err in ends])
        if wrong:
            told.failures.append(f"pair {number} of seed {seed}: {wrong}")
        shutil.rmtree(project.root)
    return told


def _pair(project: Project, codes: list[int], errors: list[str]) -> str:
    if not set(codes) <= {0, 3}:
        return f"ends {codes}: {errors}"
    for code, error in zip(codes, errors, strict=True):
        refused = (
            "is running `",
            "changed after the plan",
            "nothing is left",
            "already",
            "the plan is out of date",
            "another operation",
        )
        if code == 3 and not any(words in error for words in refused):
            return f"an unclear refusal: {error}"
    if project.run("backup", "verify", "--all").code:
        return "a snapshot is damaged"
    if project.run("history", "--check").code:
        return "the history is torn"
    return "" if "open" not in project.run("status").out else "an operation is open"
