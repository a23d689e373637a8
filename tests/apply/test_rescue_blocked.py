"""Odd things in a project or in its snapshots that once stood in the way of a rescue, or passed for good."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused, Restored
from atftctl.host.errors import HostError
from atftctl.operations import restore
from atftctl.operations.backup import catalog as backup_catalog
from atftctl.operations.backup import prune
from atftctl.operations.project import open_for_rescue, open_project
from atftctl.operations.request import Request
from atftctl.state import history
from tests.support.faults import in_child
from tests.support.projects import CONFIG, RUNBOOK, Project, make_project
from tests.support.snapshots import (
    find_snapshot,
    hold_also,
    layout_of,
    problems,
    roll_back_and_undo,
    take,
)
from tests.support.users import needs_root


def test_a_name_as_long_as_the_file_system_takes(root: Path) -> None:
    name = "x" * 255
    hold_also(root, name)
    (root / name).write_text("one")
    take(root)
    (root / name).write_text("two")
    restore.restore(open_project(root), "latest", (), RestartPolicy(restart=False), Request())
    assert (root / name).read_text() == "one"
    roll_back_and_undo(root)


@pytest.mark.parametrize("what", ["loop", "a file", "a symlink out", "a loop outside"])
def test_a_models_folder_that_is_none(root: Path, what: str) -> None:
    before = (root / CONFIG).read_bytes()
    name = take(root)
    shutil.move(root / "models", root.parent / "elsewhere")
    if what == "a file":
        (root / "models").write_text("not a folder")
        roll_back_and_undo(root)
    else:
        (root / "models").symlink_to("models" if what == "loop" else root.parent / "elsewhere")
        if what == "a loop outside":
            shutil.rmtree(root.parent / "elsewhere")
            (root.parent / "elsewhere").symlink_to(root.parent / "elsewhere")
        roll_back_and_undo(root)
        left_out = find_snapshot(root, take(root)).left_out
        why = "leads to itself" if "loop" in what else "leads out of the project"
        assert why in left_out["models/best_model.pth"] and "allow_outside" in left_out["models/best_model.pth"]
    (root / CONFIG).write_bytes(b"a: 1\n")
    restore.restore(open_for_rescue(root), name, ("configs",), RestartPolicy(restart=False), Request())
    assert (root / CONFIG).read_bytes() == before


@needs_root
def test_folders_that_may_not_be_looked_into_and_leftovers_that_may_not_be_removed(root: Path) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to other users
        os.chmod(open_to_all, 0o755)
        theirs = Path(shutil.copytree(root, Path(open_to_all) / "project"))
        leftover = theirs / "backups" / ".20240101_000000.partial" / "deep"
        leftover.mkdir(parents=True)
        (leftover / "copy").write_text("x")
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, 12345, 12345)
        os.chown(leftover, 0, 0)  # another user's, closed
        ours = theirs / "backups" / ".20240101_000001.partial" / "deep"
        ours.mkdir(parents=True)
        (ours / "copy").write_text("x")
        for path in (ours.parent, ours, ours / "copy"):
            os.chown(path, 12345, 12345)
            path.chmod(0o400 if path.is_file() else 0o500)  # chmod -R a-w
        (theirs / "models").chmod(0)

        def as_user() -> None:
            os.setresuid(12345, 12345, 12345)
            roll_back_and_undo(theirs)
            with pytest.raises(Refused, match="models"):
                take(theirs)

        assert in_child(as_user)[0] == 0
        assert leftover.exists() and not ours.exists()


def test_what_is_not_ours_in_backups_is_left_alone(root: Path) -> None:
    for name in (".notes.gone", ".download.partial", "kept"):
        (root / "backups" / name).mkdir(parents=True)
        (root / "backups" / name / "a").write_text("mine")
    one, two = take(root), take(root)
    (root / "backups/latest").symlink_to(two)
    three = take(root)
    roll_back_and_undo(root)
    assert problems(root) == {}
    prune.remove(open_project(root), ["latest"], Request())
    left = os.listdir(root / "backups")
    assert three not in left and {one, two, "latest", ".notes.gone", ".download.partial", "kept"} <= set(left)
    assert not history.read(layout_of(root))[-1]["title"].startswith("finished")


@pytest.mark.parametrize("where", [CONFIG, f"{CONFIG}.backup", RUNBOOK])
def test_fifty_thousand_brackets(root: Path, where: str) -> None:
    project = Project(root, make_project(root.parent / "other", root.parent / "v").env)
    before = (root / CONFIG).read_bytes()
    assert project.run("backup").code == 0
    project.write(where, "[" * 50_000)
    for command in (("status",), ("rollback", "--immediate", "--dry-run"), ("backup", "verify", "--all")):
        assert project.run(*command).code in (0, 1, 3), command
    project.write(CONFIG, "[" * 50_000)
    assert project.run("restore", "latest", "configs", "--yes", "--no-restart").code == 0
    assert project.read(CONFIG) == before


def test_a_store_through_a_memory_map_is_seen(root: Path) -> None:
    """A page that waits to be written takes another store without a change of any time."""
    path = root / "models/last.pth"
    path.write_bytes(bytes(8192))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[:4] = b"ONE!"
        time.sleep(2.2)
        first = take(root)
        mapped[:4] = b"TWO!"
        second = take(root)
    assert (root / "backups" / first / "models/last.pth").read_bytes().startswith(b"ONE!")
    assert (root / "backups" / second / "models/last.pth").read_bytes().startswith(b"TWO!")


def test_nonsense_in_the_tools_own_files_stops_no_rescue(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atftctl.apply.snapshots.copier.mtime_settled", lambda one: True)
    take(root)
    problems(root)
    checked = layout_of(root).checked
    checked.write_text(checked.read_text().replace('"20', '"2O'))
    for nonsense in ("[" * 100_000, '{"rankic": {"mean": ' + "1" * 401 + "}}", "[]"):
        layout_of(root).baseline.write_text(nonsense)
        roll_back_and_undo(root)
    (root / f"{CONFIG}.backup.99991231_235959").write_text("a: 1")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        backup_catalog.list_all(open_project(root))
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_a_model_that_is_no_regular_file(root: Path, what: str) -> None:
    take(root)
    (root / "models/last.pth").unlink()
    if what == "pipe":
        os.mkfifo(root / "models/last.pth")
    else:
        (root / "models/last.pth").mkdir()
        (root / "models/last.pth/shard-0").write_bytes(b"weights")
    roll_back_and_undo(root)
    with pytest.raises((HostError, Refused), match="not a regular file"):
        restore.restore(open_project(root), "latest", (), RestartPolicy(restart=False), Request())
    if what == "pipe":
        with pytest.raises(Restored, match=r"models/last\.pth"):
            take(root)
    else:
        name = take(root)
        assert find_snapshot(root, name).file("models/last.pth/shard-0"), "a checkpoint in pieces"


def test_folders_however_deep(root: Path) -> None:
    hold_also(root, "deep")
    leaf = "/".join(["deep"] * 600) + "/leaf"
    (root / leaf).parent.mkdir(parents=True)
    (root / leaf).write_text("at the bottom")
    name = take(root)
    assert (root / "backups" / name / leaf).read_text() == "at the bottom"
    (root / leaf).unlink()
    restore.restore(open_project(root), name, (), RestartPolicy(restart=False), Request())
    assert (root / leaf).read_text() == "at the bottom"


def test_another_repository_is_not_this_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(where: Path, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(where), "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)

    other = root.parent / "repository"
    other.mkdir()
    for where in (root, other):
        (where / "code.py").write_text("one\n")
        git(where, "init", "-q")
        git(where, "add", "code.py")
        git(where, "commit", "-qm", "x")
        (where / "code.py").write_text("secret\n" if where is other else "two\n")
    git(root, "config", "diff.noprefix", "true")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    patch = root / "backups" / take(root) / "code.diff"
    monkeypatch.delenv("GIT_DIR")
    assert "two" in patch.read_text() and "secret" not in patch.read_text()
    git(root, "checkout", "-q", "code.py")
    git(root, "apply", "--check", str(patch))


@pytest.mark.parametrize("name", ["manifest.json", "code.diff", "backups", ".atftctl/history.jsonl", "backups/x"])
def test_names_that_a_snapshot_keeps_for_itself(root: Path, name: str) -> None:
    hold_also(root, name)
    with pytest.raises(Refused, match="a name that atftctl uses itself"):
        open_project(root)


def test_a_whole_project_with_such_names_in_it(root: Path) -> None:
    (root / "manifest.json").write_text("mine")
    (root / "deep/.git").mkdir(parents=True)
    (root / "deep/.git/config").write_text("x")
    (root / "deep/.envrc").write_text("export TOKEN=1")
    hold_also(root, ".")
    name = take(root)
    shown = backup_catalog.show(open_project(root), name).data
    paths = {one["path"] for one in shown["files"]}
    assert {"manifest.json", "deep/.envrc"} <= set(shown["left_out"])
    assert not any(path.startswith(("backups", ".atftctl", "deep/")) for path in paths) and RUNBOOK in paths, paths
    assert problems(root) == {}


def test_a_dirty_diff_leaves_out_keys_however_they_are_written(root: Path) -> None:
    git: tuple[Any, ...] = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b")
    (root / "KEY.PEM").write_text("one")
    (root / "code.py").write_text("one")
    for command in (("init", "-q"), ("add", "-f", "KEY.PEM", "code.py"), ("commit", "-qm", "x")):
        subprocess.run([*git, *command], check=True)
    (root / "KEY.PEM").write_text("secret")
    (root / "code.py").write_text("two")
    patch = (root / "backups" / take(root) / "code.diff").read_text()
    assert "two" in patch and "secret" not in patch


def test_paths_as_typed_in_a_folder_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root)
    before = (root / CONFIG).read_bytes()
    for folder, path in (
        ("configs/atft", "config.yaml"),
        ("configs/atft/train", "../config.yaml"),
        ("configs", "."),
    ):
        (root / CONFIG).write_bytes(b"a: 1\n")
        monkeypatch.chdir(root / folder)
        restore.restore(open_project(Path()), "latest", (path,), RestartPolicy(restart=False), Request())
        assert (root / CONFIG).read_bytes() == before, path
    monkeypatch.chdir(root)
    with pytest.raises(Refused, match="nothing to restore"):
        restore.restore(open_project(Path()), "latest", (".",), RestartPolicy(restart=False), Request())
