"""Checkpoints that are folders, or that a pattern names, in snapshots: held whole or not at all, and restored so that
nothing else is left beside them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from atftctl.apply.snapshots.copier import Copier
from atftctl.domain.snapshot import SnapshotFile
from atftctl.domain.units import held_by, unit_of
from tests.cli.test_checkpoint_patterns import make_folder
from tests.support.projects import RUNBOOK, Project
from tests.support.silent import make_silent
from tests.support.snapshots import find_snapshot, take

PATTERN = "out/checkpoint-*"
# Saves a new checkpoint when it is asked to stop, as the Trainer of Hugging Face can.
SAVES = """
trap 'mkdir -p out/checkpoint-1200; echo {} > out/checkpoint-1200/trainer_state.json; exit 0' TERM
while true; do echo step; sleep 0.1; done
"""


def name_models(root: Path, name: str) -> None:
    """Let the runbook name these models instead of its own."""
    project = Project(root)
    project.replace(RUNBOOK, "    - models/best_model.pth\n    - models/last.pth\n", f'    - "{name}"\n')


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, and the folders as empty ones."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("name", "path", "held"),
    [
        ("out/last", "out/last/a/b", "out/last"),
        ("./out/last/", "out/last/a", "out/last"),
        ("out/last", "out/lastly/a", ""),
        (PATTERN, "out/checkpoint-5/a", "out/checkpoint-5"),
        (PATTERN, "out/runs/a", ""),
        ("out/*/w-[0-9].pt", "out/x/w-1.pt", "out/x/w-1.pt"),
        ("out/*/w-[0-9].pt", "out/x/y/w-1.pt", ""),
        ("out/*", "out/.hidden/a", ""),
        ("**/step-*", "a/b/step-1/c", "a/b/step-1"),
        ("**/step-*", "step-1", "step-1"),
        ("a[1]/x", "a[1]/x", "a[1]/x"),
    ],
)
def test_what_a_pattern_holds(name: str, path: str, held: str) -> None:
    assert held_by(name, path) == held
    assert unit_of((name,), path) == ("" if held == path else held)


@pytest.mark.parametrize("name", [PATTERN, "out"])
def test_a_restore_leaves_nothing_else_and_can_be_undone(project: Project, name: str) -> None:
    """Also what the trainer saves when it is stopped for the restore goes, into the safety snapshot."""
    name_models(project.root, name)
    out = project.root / "out"
    for step in (900, 1000):
        make_folder(out / f"checkpoint-{step}", step)
    (out / "notes.txt").write_text("mine")
    snapshot = project.run("backup", "--json").json["data"]["id"]
    before = tree(out)
    shutil.rmtree(out / "checkpoint-900")
    make_folder(out / "checkpoint-1100", 1100)
    (out / "checkpoint-1000/optimizer.pt").write_bytes(b"other")
    (out / "checkpoint-1000/scheduler.pt").write_bytes(b"more")
    changed = tree(out)
    make_silent(project, SAVES, "{alive_s: 0.2}")
    project.start_trainer()
    done = project.run("restore", snapshot, "--only", "models", "--yes")
    assert done.code == 0, done
    assert tree(out) == before
    assert project.run("trainer", "stop").code == 0
    shutil.rmtree(out / "checkpoint-1200")  # saved by that stop
    undone = project.run("undo", "--yes")
    assert undone.code == 0, undone
    saved = {"checkpoint-1200": b"", "checkpoint-1200/trainer_state.json": b"{}\n"}
    assert tree(out) == {**changed, **saved}
    again = project.run("undo", "--yes", "--no-restart")
    assert again.code == 0 and tree(out) == before, again


def test_one_folder_of_a_pattern_is_restored_alone(project: Project) -> None:
    name_models(project.root, PATTERN)
    folder = make_folder(project.root / "out/checkpoint-900", 900)
    before = tree(folder)
    snapshot = take(project.root)
    (folder / "extra.bin").write_bytes(b"x")
    other = make_folder(project.root / "out/checkpoint-1000", 1000)
    plan = project.run("restore", snapshot, "out/checkpoint-900", "--dry-run")
    assert "remove out/checkpoint-900/extra.bin" in " ".join(plan.out.split()), plan
    assert project.run("restore", snapshot, "out/checkpoint-900", "--yes").code == 0
    assert tree(folder) == before and other.is_dir()


@pytest.mark.parametrize("what", ["gone", "half", "grows"])
def test_a_folder_that_changes_while_it_is_copied(root: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is rotated away, half of it is, or a file more is written."""
    name_models(root, PATTERN)
    for step in (900, 1000):
        make_folder(root / f"out/checkpoint-{step}", step)
    folder, copy, seen = root / "out/checkpoint-900", Copier.take, list[str]()

    def interfere(copier: Copier, path: str, *, durable: bool = True) -> SnapshotFile | None:
        file = copy(copier, path, durable=durable)
        if path.startswith("out/checkpoint-900/") and not seen:
            seen.append(path)
            if what == "grows":
                (folder / "rng_state.pth").write_bytes(b"more")
            else:
                (
                    folder / ("optimizer.pt" if seen != ["out/checkpoint-900/optimizer.pt"] else "model.safetensors")
                ).unlink()
                if what == "gone":
                    shutil.rmtree(folder)
        return file

    monkeypatch.setattr(Copier, "take", interfere)
    snapshot = find_snapshot(root, take(root))
    held = {path for path in snapshot.by_path if path.startswith("out/checkpoint-900/")}
    assert snapshot.file("out/checkpoint-1000/optimizer.pt")
    if what == "grows":
        assert held == {f"out/checkpoint-900/{name}" for name in os.listdir(folder)} and not snapshot.left_out
    else:
        assert not held and "removed" in snapshot.left_out["out/checkpoint-900"]
        assert not (root / "backups" / snapshot.id / "out/checkpoint-900").exists()
