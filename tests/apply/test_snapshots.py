"""Snapshots under faults: killed at every call, a full disk at every call, a file that vanishes, can't be read, never
holds still. Whatever happens, every snapshot that is listed is whole."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from atftctl.domain.errors import Restored
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import integrity
from atftctl.operations import project as projects
from atftctl.operations.backup import create as backup
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.project import open_project
from atftctl.operations.request import Request
from atftctl.state import checked_copies
from atftctl.state.layout import Layout
from tests.support.projects import CONFIG, Project
from tests.support.snapshots import flip_bit, layout_of, problems, take

NOW = projects.now()


def inode(path: Path) -> int:
    return path.stat().st_ino


def test_unchanged_files_are_shared_and_no_live_file_is(settled: Path) -> None:
    first, second = take(settled), take(settled)
    for name in (CONFIG, "models/best_model.pth"):
        copies = {inode(settled / "backups" / one / name) for one in (first, second)}
        assert len(copies) == 1 and inode(settled / name) not in copies
    (settled / CONFIG).write_text("changed: true\n")
    third = take(settled)
    assert inode(settled / "backups" / third / CONFIG) != inode(settled / "backups" / second / CONFIG)
    assert problems(settled) == {}


def test_writing_into_a_live_file_changes_no_snapshot(settled: Path) -> None:
    """`torch.save` over an existing path writes into the same inode."""
    before = (settled / "models/best_model.pth").read_bytes()
    names = [take(settled), take(settled)]
    with (settled / "models/best_model.pth").open("r+b") as file:
        file.write(b"other")
    for name in names:
        assert (settled / "backups" / name / "models/best_model.pth").read_bytes() == before


def test_a_file_that_has_just_changed_is_never_trusted_by_its_times(root: Path) -> None:
    """Its times may be those of a change that is still to come (git's racy files)."""
    first = take(root)
    content = (root / CONFIG).read_bytes()
    facts = (root / CONFIG).stat()
    (root / CONFIG).write_bytes(content[::-1])
    os.utime(root / CONFIG, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    second = take(root)
    assert (root / "backups" / first / CONFIG).read_bytes() == content
    assert (root / "backups" / second / CONFIG).read_bytes() == content[::-1]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_snapshot_survives_its_neighbours_deletion(settled: Path, gone: int) -> None:
    names = [take(settled) for _ in range(3)]
    shutil.rmtree(settled / "backups" / names[gone])
    assert problems(settled) == {}
    assert len(observed.list_snapshots(layout_of(settled))) == 2


def test_one_damaged_copy_does_not_pass_as_many_good_ones(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not checked within the span: hashed before a new snapshot relies on it, and copied afresh."""
    first, second = take(settled), take(settled)
    copy = settled / "backups" / second / "models/best_model.pth"
    flip_bit(copy)
    monkeypatch.setattr(backup, "now", lambda: NOW + timedelta(days=8))
    third = take(settled)
    fresh = settled / "backups" / third / "models/best_model.pth"
    assert inode(fresh) != inode(copy) and fresh.read_bytes() == (settled / "models/best_model.pth").read_bytes()
    assert inode(settled / "backups" / third / CONFIG) == inode(settled / "backups" / first / CONFIG)
    found = problems(settled)
    assert set(found) == {first, second}
    assert "shared with 1 other snapshot" in found[first][0]


def test_a_copy_that_somebody_edited_is_not_relied_on(settled: Path) -> None:
    first = take(settled)
    copy = settled / "backups" / first / CONFIG
    copy.chmod(0o600)
    copy.write_text("edited by hand\n")
    second = take(settled)
    assert (settled / "backups" / second / CONFIG).read_bytes() == (settled / CONFIG).read_bytes()
    assert set(problems(settled)) == {first}


def test_a_verify_is_remembered(settled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it hashed is relied on for the span; after it a rotten copy is seen by the next snapshot."""
    first = take(settled)
    later = NOW + timedelta(days=30)
    for module in (backup, check_backups):
        monkeypatch.setattr(module, "now", lambda: later)
    assert problems(settled) == {}
    checked = checked_copies.checked(layout_of(settled))
    assert len(checked) == 4 and all(at.startswith(later.strftime("%Y")) for _, at in checked.values())
    second = take(settled)
    assert inode(settled / "backups" / second / CONFIG) == inode(settled / "backups" / first / CONFIG)


def test_random_damages_are_all_found(root: Path) -> None:
    """Bits flipped, ranges zeroed, ends cut, garbage appended; in copies and in the manifest. `make torture` makes
    10,000 of them."""
    with zipfile.ZipFile(root / "models/best_model.pth", "w") as archive:
        archive.writestr("data/0", random.Random(0).randbytes(3000))
    name = take(root)
    layout = layout_of(root)
    rng = random.Random(20261124)
    targets = [root / "backups" / name / one for one in (CONFIG, "models/best_model.pth", "manifest.json")]
    whole = {path: path.read_bytes() for path in targets}
    for path in targets:
        path.chmod(0o600)
    missed = []
    for trial in range(int(os.environ.get("ATFTCTL_DAMAGES", "1000"))):
        path = rng.choice(targets)
        path.write_bytes(damaged(whole[path], rng))
        if looks_whole(layout):
            missed.append((trial, path))
        path.write_bytes(whole[path])
    assert not missed
    assert looks_whole(layout)


def damaged(data: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data)), rng.randrange(1, 64)
    kind = rng.choice(("flip", "zero", "cut", "append"))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == "zero" and data[at : at + length].strip(b"\0"):
        return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
    return data[: -min(length, len(data))] if kind == "cut" else data + rng.randbytes(length)


def looks_whole(layout: Layout) -> bool:
    known, broken = observed.scan(layout)
    found = integrity.structure(layout, known, observed.reliance(layout, known, 0))
    integrity.check(layout, list(found.copies.values()), found)
    return not broken and not found.problems and len(known) == 1


def test_a_file_that_never_holds_still_is_refused_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.host.copying import copier

    real = copier._stream

    def moving(*arguments: Any) -> str:
        with (root / "models/last.pth").open("ab") as file:
            file.write(b"more")
        return real(*arguments)

    monkeypatch.setattr(copier, "_stream", moving)
    with pytest.raises(Restored, match=r"models/last\.pth keeps changing while it is copied"):
        take(root)


def test_a_source_that_vanishes_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = backup.sources

    def and_gone(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        if (root / ".atftctl").exists():  # the second look, under the lock
            (root / "models/last.pth").unlink()
        return found

    monkeypatch.setattr(backup, "sources", and_gone)
    done = backup.create(open_project(root), "", "", Request())
    assert any("models/last.pth vanished" in line for line in done.lines), done.lines
    assert problems(root) == {}


def test_a_clock_that_goes_back_keeps_the_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(root)
    monkeypatch.setattr(backup, "now", lambda: NOW - timedelta(days=400))
    second = take(root)
    known = observed.list_snapshots(layout_of(root))
    assert [one.id for one in known] == [first, second] and second < first
    assert observed.find(layout_of(root), known, "latest").id == second


def test_two_at_once_and_two_in_one_second(project: Project) -> None:
    children = [project.start("backup", "--json") for _ in range(4)]
    ends = [(child.communicate()[0], child.returncode) for child in children]
    assert {code for _, code in ends} <= {0, 3} and any(code == 0 for _, code in ends)
    assert all("is running `backup`" in out for out, code in ends if code == 3), ends
    for _ in range(3):
        assert project.run("backup").code == 0
    names = [one["id"] for one in project.run("backup", "list", "--json").json["data"]["snapshots"]]
    assert len(names) == len(set(names)) == 3 + sum(code == 0 for _, code in ends)
    assert project.run("backup", "verify", "--all").code == 0
