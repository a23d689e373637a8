"""Damaged snapshots, models and records: they are found, and they stop no rescue."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from atftctl.apply.snapshots import take as snapshots
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import InterventionNeeded, Refused, UsageError
from atftctl.host.copying.copier import copy_new
from atftctl.host.copying.zip_crc import ZipWatch
from atftctl.host.errors import DamagedError
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import integrity
from atftctl.operations import restore
from atftctl.operations.backup import catalog as backup_catalog
from atftctl.operations.backup import create as backup
from atftctl.operations.backup import prune
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.project import now, open_project
from atftctl.operations.request import Request
from atftctl.state import checked_copies
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project
from tests.support.snapshots import (
    KEEP,
    KEEP_ONE,
    find_snapshot,
    flip_bit,
    layout_of,
    mark_verified,
    problems,
    roll_back_and_undo,
    take,
)


def test_a_zip_of_nonsense_is_damaged_and_nothing_worse(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            archive.writestr(f"data/{number}", random.Random(number).randbytes(3000))
    whole, rng = path.read_bytes(), random.Random(1)
    for _ in range(1000):
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
    roll_back_and_undo(root)
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
    assert not observed.known_damage(layout_of(root), find_snapshot(root, name), {})
    copy.chmod(0o600)
    copy.write_bytes((root / CONFIG).read_bytes())  # the same inode, whole again, written at another time
    assert not observed.known_damage(
        layout_of(root), find_snapshot(root, name), checked_copies.checked(layout_of(root))
    )


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
    assert not observed.known_damage(
        layout_of(root), find_snapshot(root, second), checked_copies.checked(layout_of(root))
    )


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
