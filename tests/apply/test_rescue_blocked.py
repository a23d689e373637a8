"""Odd things in a project or in its snapshots that once stood in the way of a rescue, or passed for good."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import subprocess
import tempfile
import time
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from atftctl.apply.snapshots import take as snapshots
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import InterventionNeeded, Refused, Restored, UsageError
from atftctl.host.copying.copier import copy_new
from atftctl.host.copying.zip_crc import ZipWatch
from atftctl.host.errors import DamagedError, HostError
from atftctl.host.files.fingerprint import sha256_file
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import integrity
from atftctl.operations import recover as recovering
from atftctl.operations import restore
from atftctl.operations import undo as undoing
from atftctl.operations.backup import catalog as backup_catalog
from atftctl.operations.backup import create as backup
from atftctl.operations.backup import prune
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.project import now, open_for_rescue, open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from atftctl.state import checked_copies, history
from atftctl.state.verified import mark_verified as mark
from tests.support.faults import BROKEN, KILLED, Faults, in_child
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project, make_project
from tests.support.snapshots import KEEP, KEEP_ONE, flip_bit, layout_of, problems, take
from tests.support.users import needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", tmp_path / "violations").root


def undone_rollback(root: Path) -> None:
    """The whole emergency path works: there and back."""
    before = (root / CONFIG).read_bytes()
    routes.immediate(open_project(root), RestartPolicy(restart=False), Request())
    undoing.undo(open_for_rescue(root), "", RestartPolicy(restart=False), Request())
    assert (root / CONFIG).read_bytes() == before


def also(root: Path, words: str) -> None:
    Project(root).replace(RUNBOOK, "also: []", f"also: [{words}]")


def mark_verified(root: Path) -> None:
    """As a passing `verify` does, for exactly what stands."""
    names = (CONFIG, "models/best_model.pth")
    layout_of(root).state.mkdir(exist_ok=True)
    mark(layout_of(root), {name: str(sha256_file(root / name)) for name in names}, {}, now())


def test_a_name_as_long_as_the_file_system_takes(root: Path) -> None:
    name = "x" * 255
    also(root, name)
    (root / name).write_text("one")
    take(root)
    (root / name).write_text("two")
    restore.restore(open_project(root), "latest", (), RestartPolicy(restart=False), Request())
    assert (root / name).read_text() == "one"
    undone_rollback(root)


@pytest.mark.parametrize("what", ["loop", "a file", "a symlink out", "a loop outside"])
def test_a_models_folder_that_is_none(root: Path, what: str) -> None:
    before = (root / CONFIG).read_bytes()
    name = take(root)
    shutil.move(root / "models", root.parent / "elsewhere")
    if what == "a file":
        (root / "models").write_text("not a folder")
        undone_rollback(root)
    else:
        (root / "models").symlink_to("models" if what == "loop" else root.parent / "elsewhere")
        if what == "a loop outside":
            shutil.rmtree(root.parent / "elsewhere")
            (root.parent / "elsewhere").symlink_to(root.parent / "elsewhere")
        undone_rollback(root)
        left_out = snapshot(root, take(root)).left_out
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
            undone_rollback(theirs)
            with pytest.raises(Refused, match="models"):
                take(theirs)

        assert in_child(as_user)[0] == 0
        assert leftover.exists() and not ours.exists()


def test_a_zip_of_nonsense_is_damaged_and_nothing_worse(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            archive.writestr(f"data/{number}", random.Random(number).randbytes(3000))
    whole, rng = path.read_bytes(), random.Random(1)
    for _ in range(3000):
        kind, at = rng.choice(("cut out", "flip", "zero", "end")), rng.randrange(4, len(whole))
        length = rng.randrange(1, 4000)
        if kind == "cut out":
            data = whole[:at] + whole[at + length :]
        elif kind == "flip":
            data = whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :]
        elif kind == "zero":
            data = whole[:at] + bytes(len(whole[at : at + length])) + whole[at + length :]
        else:
            tail = bytearray(whole)
            tail[-rng.randrange(1, 200)] = rng.randrange(256)
            data = bytes(tail)
        path.write_bytes(data)
        watch = ZipWatch()
        copy_new(path, tmp_path / "copy", 0o600, watch=watch.start)
        (tmp_path / "copy").unlink()
        assert isinstance(watch.damage, str)


def test_bytes_missing_in_the_middle_of_a_live_model_do_not_stop_its_restore(root: Path) -> None:
    model = root / "models/best_model.pth"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("data/0", random.Random(0).randbytes(30_000))
    take(root)
    whole = model.read_bytes()
    model.write_bytes(whole[:10_000] + whole[20_000:])
    restore.restore(open_project(root), "latest", (), RestartPolicy(restart=False), Request())
    assert model.read_bytes() == whole


def test_a_damaged_copy_among_hundreds_of_linked_ones_stops_no_backup(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atftctl.apply.snapshots.copier.mtime_settled", lambda one: True)
    monkeypatch.setattr(snapshots, "MANY", 2)
    first = take(root)
    flip_bit(root / "backups" / first / CONFIG)
    take(root)
    real, calls = snapshots.read_back, []

    def once_wrong(path: Path, digest: str) -> None:
        calls.append(path.name)
        if len(calls) == 1:
            raise DamagedError(f"{path} does not read back as it was written")
        real(path, digest)

    monkeypatch.setattr(snapshots, "read_back", once_wrong)
    for name in ("last.pth", "best_model.pth"):
        (root / "models" / name).write_bytes(b"new")
    third = take(root)
    assert len(calls) == 2 and (root / "backups" / third / "models/last.pth").read_bytes() == b"new"


def test_a_deeply_nested_manifest_and_a_time_beyond_all_years(root: Path) -> None:
    name = take(root)
    (root / "backups" / name / "manifest.json").chmod(0o600)
    (root / "backups" / name / "manifest.json").write_text("[" * 100_000)
    (root / f"{CONFIG}.backup").write_text("a: 1")
    os.utime(root / f"{CONFIG}.backup", (400_000_000_000, 400_000_000_000))
    undone_rollback(root)
    assert backup_catalog.list_all(open_project(root)).data["damaged"] == {
        name: "manifest.json is not a complete record"
    }


@pytest.mark.parametrize("how", ["cut", "gone", "behind a symlink", "found by verify"])
def test_a_damaged_snapshot_is_neither_the_last_good_one_nor_what_prune_keeps(root: Path, how: str) -> None:
    Project(root).replace(RUNBOOK, KEEP, KEEP_ONE)
    mark_verified(root)
    first, second, third = take(root), take(root), take(root)
    copy = root / "backups" / third / "models/best_model.pth"
    copy.chmod(0o600)
    if how == "cut":
        copy.write_bytes(copy.read_bytes()[:-1])
    elif how == "gone":
        copy.unlink()
    elif how == "behind a symlink":
        shutil.rmtree(copy.parent)
        copy.parent.symlink_to(root / "models")
        assert "models is a symlink" in str(problems(root)[third])
    else:
        flip_bit(copy)
        assert set(problems(root)) == {third}
    layout = layout_of(root)
    assert observed.find(layout, observed.list_snapshots(layout), "last-good").id == second
    shown = {one["id"]: one["damage"] for one in backup_catalog.list_all(open_project(root)).data["snapshots"]}
    assert shown[third] and not shown[first] and not shown[second]
    prune.prune(open_project(root), Request())
    left = [one.id for one in observed.list_snapshots(layout)]
    assert left == [second, third]
    assert prune.remove(open_project(root), [third], Request()).exit_code == 0


def test_an_inode_that_is_used_again_is_not_taken_for_the_damaged_copy(root: Path) -> None:
    name = take(root)
    copy = root / "backups" / name / CONFIG
    flip_bit(copy)
    assert set(problems(root)) == {name}
    again = root / "backups" / name / TRAINING
    again.chmod(0o600)
    assert not observed.known_damage(layout_of(root), snapshot(root, name), {})
    copy.chmod(0o600)
    copy.write_bytes((root / CONFIG).read_bytes())  # the same inode, whole again, written at another time
    assert not observed.known_damage(layout_of(root), snapshot(root, name), checked_copies.checked(layout_of(root)))


def test_a_clock_that_stood_ahead_hides_no_finding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Project(root).replace(RUNBOOK, KEEP, KEEP_ONE)
    mark_verified(root)
    old = take(root)
    monkeypatch.setattr(backup, "now", lambda: now() + timedelta(days=1))
    (root / "models/last.pth").write_bytes(b"new")
    ahead = take(root)
    monkeypatch.undo()
    flip_bit(root / "backups" / ahead / "models/best_model.pth")
    assert set(problems(root)) == {ahead}
    layout = layout_of(root)
    assert observed.find(layout, observed.list_snapshots(layout), "last-good").id == old
    prune.prune(open_project(root), Request())
    assert [one.id for one in observed.list_snapshots(layout)] == [old, ahead]


def test_what_is_not_ours_in_backups_is_left_alone(root: Path) -> None:
    for name in (".notes.gone", ".download.partial", "kept"):
        (root / "backups" / name).mkdir(parents=True)
        (root / "backups" / name / "a").write_text("mine")
    one, two = take(root), take(root)
    (root / "backups/latest").symlink_to(two)
    three = take(root)
    undone_rollback(root)
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
    for words in (("status",), ("rollback", "--immediate", "--dry-run"), ("backup", "verify", "--all")):
        assert project.run(*words).code in (0, 1, 3), words
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
        undone_rollback(root)
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
    undone_rollback(root)
    with pytest.raises((HostError, Refused), match="not a regular file"):
        restore.restore(open_project(root), "latest", (), RestartPolicy(restart=False), Request())
    if what == "pipe":
        with pytest.raises(Restored, match=r"models/last\.pth"):
            take(root)
    else:
        name = take(root)
        assert snapshot(root, name).file("models/last.pth/shard-0"), "a checkpoint in pieces"


def test_folders_however_deep(root: Path) -> None:
    also(root, "deep")
    leaf = "/".join(["deep"] * 600) + "/leaf"
    (root / leaf).parent.mkdir(parents=True)
    (root / leaf).write_text("at the bottom")
    name = take(root)
    assert (root / "backups" / name / leaf).read_text() == "at the bottom"
    (root / leaf).unlink()
    restore.restore(open_project(root), name, (), RestartPolicy(restart=False), Request())
    assert (root / leaf).read_text() == "at the bottom"


def test_samples_come_round_past_a_damaged_copy(root: Path) -> None:
    name = take(root)
    flip_bit(root / "backups" / name / "models/best_model.pth")
    problems(root)
    flip_bit(root / "backups" / name / "models/last.pth")
    for _ in range(8):
        found = check_backups.verify(open_project(root), (), Request(), share=0.1)
    assert "models/last.pth" in str(found.data["problems"]) and "models/best_model.pth" in str(found.data["problems"])


def test_a_removal_while_verify_reads_harms_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atftctl.apply.snapshots.copier.mtime_settled", lambda one: True)
    first, second = take(root), take(root)
    real = integrity.structure

    def and_gone(*arguments: Any) -> Any:
        found = real(*arguments)
        prune.remove(open_project(root), [first], Request())
        return found

    monkeypatch.setattr(integrity, "structure", and_gone)
    assert problems(root) == {}
    assert not observed.known_damage(layout_of(root), snapshot(root, second), checked_copies.checked(layout_of(root)))


def test_another_repository_is_not_this_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(where: Path, *words: str) -> None:
        subprocess.run(["git", "-C", str(where), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

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


def snapshot(root: Path, name: str) -> Any:
    return next(one for one in observed.list_snapshots(layout_of(root)) if one.id == name)


@pytest.mark.parametrize("name", ["manifest.json", "code.diff", "backups", ".atftctl/history.jsonl", "backups/x"])
def test_names_that_a_snapshot_keeps_for_itself(root: Path, name: str) -> None:
    also(root, name)
    with pytest.raises(Refused, match="atftctl's own name"):
        open_project(root)


def test_a_whole_project_with_such_names_in_it(root: Path) -> None:
    (root / "manifest.json").write_text("mine")
    (root / "deep/.git").mkdir(parents=True)
    (root / "deep/.git/config").write_text("x")
    (root / "deep/.envrc").write_text("export TOKEN=1")
    also(root, ".")
    name = take(root)
    shown = backup_catalog.show(open_project(root), name).data
    paths = {one["path"] for one in shown["files"]}
    assert {"manifest.json", "deep/.envrc"} <= set(shown["left_out"])
    assert not any(path.startswith(("backups", ".atftctl", "deep/")) for path in paths) and RUNBOOK in paths
    assert problems(root) == {}


@pytest.mark.parametrize("content", [b"", bytes(5000), b"plain words"], ids=["empty", "zeros", "no zip"])
def test_a_copy_made_by_cp_that_nobody_can_check_is_not_restored(root: Path, content: bytes) -> None:
    (root / "models/best_model.pth.backup").write_bytes(content)
    with pytest.raises(Refused, match=r"best_model\.pth\.backup is damaged"):
        restore.restore(open_project(root), "models/best_model.pth.backup", (), RestartPolicy(), Request())
    (root / f"{CONFIG}.backup").write_bytes(b"")
    with pytest.raises(Refused, match="the copy is empty"):
        restore.restore(open_project(root), f"{CONFIG}.backup", (), RestartPolicy(), Request())


def test_an_empty_model_is_said_when_it_is_copied(root: Path) -> None:
    (root / "models/last.pth").write_bytes(b"")
    name = take(root)
    file = next(one for one in observed.list_snapshots(layout_of(root)) if one.id == name).file("models/last.pth")
    assert file is not None and file.damaged


def test_a_removal_that_fails_in_the_middle_says_what_is_gone(root: Path) -> None:
    names = [take(root) for _ in range(3)]
    template = root.with_name("template")
    shutil.copytree(root, template)
    _, calls = in_child(lambda: gone(template, names[:2]), Faults())
    shutil.rmtree(template)
    ends = set()
    for at in range(1, len(calls) + 1):
        copy = root.with_name("copy")
        shutil.copytree(root, copy)
        code, _ = in_child(lambda copy=copy: gone(copy, names[:2]), Faults(at, BROKEN))
        left = [one.id for one in observed.list_snapshots(layout_of(copy))]
        told = [name for line in history.read(layout_of(copy)) for name in line.get("removed", [])]
        ends.add(code)
        if code in (0, 5):
            assert set(left) < set(names), at
        else:
            assert left == names, (at, code)
        if code == 0:
            assert told == names[:2]
        recovering.recover(open_for_rescue(copy), Request())
        told = [name for line in history.read(layout_of(copy)) for name in line.get("removed", [])]
        assert set(told) == set(names) - set(left), (at, code)
        assert problems(copy) == {}
        shutil.rmtree(copy)
    assert {0, InterventionNeeded.exit_code} <= ends


def gone(root: Path, names: list[str]) -> None:
    prune.remove(open_project(root), names, Request())


@pytest.mark.parametrize("verb", ["pin", "unpin", "rm"])
def test_a_kill_at_every_call_of_the_small_verbs(root: Path, verb: str) -> None:
    name, _ = take(root), take(root)
    if verb == "unpin":
        backup_catalog.pin(open_project(root), name, Request(), away=False)

    def act(where: Path) -> None:
        if verb == "rm":
            gone(where, [name])
        else:
            backup_catalog.pin(open_project(where), name, Request(), away=verb == "unpin")

    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    _, calls = in_child(lambda: act(copy), Faults())
    shutil.rmtree(copy)
    for at in range(1, len(calls) + 1):
        shutil.copytree(root, copy)
        assert in_child(lambda: act(copy), Faults(at))[0] == KILLED
        recovering.recover(open_for_rescue(copy), Request())
        assert problems(copy) == {}, at
        told = [one for line in history.read(layout_of(copy)) for one in line.get("removed", [])]
        left = [one.id for one in observed.list_snapshots(layout_of(copy))]
        assert (name in left) != (name in told), at
        shutil.rmtree(copy)


@pytest.mark.parametrize("how", ["kill", "error"])
def test_an_export_that_dies_leaves_no_half_folder(root: Path, how: str, tmp_path: Path) -> None:
    take(root)
    target = tmp_path / "out"

    def act() -> None:
        restore.export(open_project(root), "latest", (), target, Request())

    _, calls = in_child(act, Faults())
    shutil.rmtree(target)
    for at in range(1, len(calls) + 1):
        in_child(act, Faults(at, 0 if how == "kill" else BROKEN))
        files = [one for one in target.rglob("*") if one.is_file()] if target.exists() else []
        assert len(files) in (0, 4), at
        shutil.rmtree(target, ignore_errors=True)
        for left in tmp_path.glob(".out.*.partial"):
            assert how == "kill", at
            shutil.rmtree(left)


def test_verify_recovers_nothing_and_keeps_its_findings(root: Path) -> None:
    name = take(root)
    flip_bit(root / "backups" / name / CONFIG)
    (root / ".atftctl/journal/20240101_000000-dead.intent.json").write_text("not a record")
    found = check_backups.verify(open_project(root), (), Request(), everything=True)
    assert found.exit_code == 1 and set(found.data["problems"]) == {name}
    with pytest.raises(InterventionNeeded):
        take(root)


def test_damaged_folders_can_be_taken_away_and_those_of_others_are_left_alone(root: Path) -> None:
    first, second = take(root), take(root)
    (root / "backups" / first / "manifest.json").unlink()
    (root / "backups/my notes").mkdir()
    (root / "backups/my notes/a").write_text("x")
    found = check_backups.verify(open_project(root), (), Request())
    assert set(found.data["problems"]) == {first}
    prune.remove(open_project(root), [first], Request())
    assert sorted(os.listdir(root / "backups")) == [second, "my notes"]
    with pytest.raises(UsageError, match="no snapshot"):
        prune.remove(open_project(root), ["my notes"], Request())


def test_a_dirty_diff_leaves_out_keys_however_they_are_written(root: Path) -> None:
    git: tuple[Any, ...] = ("git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b")
    (root / "KEY.PEM").write_text("one")
    (root / "code.py").write_text("one")
    for words in (("init", "-q"), ("add", "-f", "KEY.PEM", "code.py"), ("commit", "-qm", "x")):
        subprocess.run([*git, *words], check=True)
    (root / "KEY.PEM").write_text("secret")
    (root / "code.py").write_text("two")
    patch = (root / "backups" / take(root) / "code.diff").read_text()
    assert "two" in patch and "secret" not in patch


def test_paths_as_typed_in_a_folder_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root)
    before = (root / CONFIG).read_bytes()
    for folder, words in (("configs/atft", "config.yaml"), ("configs/atft/train", "../config.yaml"), ("configs", ".")):
        (root / CONFIG).write_bytes(b"a: 1\n")
        monkeypatch.chdir(root / folder)
        restore.restore(open_project(Path()), "latest", (words,), RestartPolicy(restart=False), Request())
        assert (root / CONFIG).read_bytes() == before, words
    monkeypatch.chdir(root)
    with pytest.raises(Refused, match="nothing to restore"):
        restore.restore(open_project(Path()), "latest", (".",), RestartPolicy(restart=False), Request())
