"""Snapshots under faults: killed at every call, a full disk at every call, a file that vanishes, can't be read, never
holds still. Whatever happens, every snapshot that is listed is whole."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import tempfile
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused, Restored
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import integrity
from atftctl.operations import project as projects
from atftctl.operations.backup import create as backup
from atftctl.operations.backup import prune
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.change import free_space
from atftctl.operations.project import open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from atftctl.state import checked_copies
from atftctl.state.layout import Layout
from tests.support.faults import BROKEN, FULL, KILLED, Faults, in_child
from tests.support.projects import CONFIG, RUNBOOK, Project, make_project
from tests.support.snapshots import flip_bit, layout_of, problems, take
from tests.support.users import needs_root

NOW = projects.now()


def age(root: Path) -> None:
    """Files that stand since yesterday: their times prove that nothing changed."""
    for path in (root / "configs", root / "models"):
        for file in path.rglob("*"):
            os.utime(file, (NOW.timestamp() - 86_400, NOW.timestamp() - 86_400))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", tmp_path / "violations").root


@pytest.fixture
def settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose files changed long ago (the inode's own time can't be set back, so the rule is told so)."""
    monkeypatch.setattr("atftctl.apply.snapshots.copier.mtime_settled", lambda one: True)
    age(root)
    return root


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


def test_ten_thousand_random_damages_are_all_found(root: Path) -> None:
    """Bits flipped, ranges zeroed, ends cut, garbage appended; in copies and in the manifest."""
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
    for trial in range(10_000):
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


@pytest.mark.parametrize("how", ["all copied", "linked", "synced together"])
def test_a_kill_at_every_call_leaves_listed_snapshots_whole(
    settled: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = how == "linked"
    if how == "synced together":
        monkeypatch.setattr("atftctl.apply.snapshots.take.MANY", 1)

    def fresh(number: int) -> Path:
        """Links need the very inodes that an earlier snapshot saw, so it is taken in each copy."""
        root = copy_of(settled, number)
        if shared:
            take(root)
        return root

    before = int(shared)
    first = fresh(0)
    _, calls = in_child(lambda: take(first, pin=True), Faults())
    assert ("link" in calls) == shared and len(calls) > 30
    seen = set()
    for at in range(1, len(calls) + 1):
        root = fresh(at)
        assert in_child(lambda root=root: take(root, pin=True), Faults(at))[0] == KILLED, at
        known = observed.list_snapshots(layout_of(root))
        seen.add(len(known) - before)
        assert in_child(lambda root=root: take(root))[0] == 0, "the next one works"
        assert problems(root) == {}, at
        assert not [one.name for one in (root / "backups").iterdir() if one.name.startswith(".")], at
        shutil.rmtree(root)
    assert seen == {0, 1}


def copy_of(root: Path, number: int) -> Path:
    """With its hard links and times, so that what was shared is shared."""
    target = root.with_name(f"copy{number}")
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(root), str(target)], check=True)
    return target


@pytest.mark.parametrize("error", [FULL, errno.EDQUOT, BROKEN], ids=["ENOSPC", "EDQUOT", "EIO"])
def test_an_error_at_every_call_leaves_no_half_snapshot(settled: Path, error: int) -> None:
    take(settled)
    (settled / CONFIG).write_bytes((settled / CONFIG).read_bytes() + b"# newer\n")
    _, calls = in_child(lambda: take(copy_of(settled, 0)), Faults())
    for at in range(1, len(calls) + 1):
        root = copy_of(settled, at)
        code, _ = in_child(lambda root=root: take(root), Faults(at, error))
        known = observed.list_snapshots(layout_of(root))
        assert len(known) == 2 if code == 0 else len(known) in (1, 2), (at, calls[at - 1], code)
        assert code in (0, 4, 5, 99), (at, calls[at - 1], code)  # 99: an OSError outside; the boundary makes it exit 3
        assert in_child(lambda root=root: take(root))[0] == 0, at
        assert problems(root) == {}, at
        shutil.rmtree(root)


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

    def and_gone(*arguments: Any) -> Any:
        found = real(*arguments)
        if (root / ".atftctl").exists():  # the second look, under the lock
            (root / "models/last.pth").unlink()
        return found

    monkeypatch.setattr(backup, "sources", and_gone)
    done = backup.create(open_project(root), "", "", Request())
    assert any("models/last.pth vanished" in line for line in done.lines)
    assert problems(root) == {}


def test_a_clock_that_goes_back_keeps_the_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(root)
    monkeypatch.setattr(backup, "now", lambda: NOW - timedelta(days=400))
    second = take(root)
    known = observed.list_snapshots(layout_of(root))
    assert [one.id for one in known] == [first, second] and second < first
    assert observed.find(layout_of(root), known, "latest").id == second


def test_a_prune_killed_at_every_call_leaves_listed_snapshots_whole(settled: Path) -> None:
    project = Project(settled)
    project.replace(
        RUNBOOK,
        "keep: {last: 10, hourly: 24, daily: 7, weekly: 4, monthly: 12, within: 2d}",
        "keep: {last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, within: 0h}",
    )
    pinned = take(settled, pin=True)
    for _ in range(3):
        take(settled)

    def act(root: Path) -> None:
        prune.prune(open_project(root), Request())

    done = copy_of(settled, 0)
    _, calls = in_child(lambda: act(done), Faults())
    left = [one.id for one in observed.list_snapshots(layout_of(done))]
    assert left[0] == pinned and len(left) == 2
    for at in range(1, len(calls) + 1):
        root = copy_of(settled, at)
        assert in_child(lambda root=root: act(root), Faults(at))[0] == KILLED
        assert problems(root) == {}, at
        assert in_child(lambda root=root: act(root))[0] == 0
        assert [one.id for one in observed.list_snapshots(layout_of(root))] == left, at
        assert not [one.name for one in (root / "backups").iterdir() if one.name.startswith(".")], at
        shutil.rmtree(root)


def test_a_model_that_cannot_be_read_does_not_stop_a_rollback(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad sector in a model must not stand in the way of the settings; a snapshot on request is refused."""
    bad_sector(root / "models/best_model.pth", monkeypatch)
    done = routes.immediate(open_project(root), RestartPolicy(restart=False), Request())
    assert done.exit_code == 0 and b"use_ema: false" in (root / CONFIG).read_bytes()
    safety = observed.list_snapshots(layout_of(root))[-1]
    assert dict(safety.left_out) == {"models/best_model.pth": "Input/output error"}
    assert safety.file("models/last.pth") and problems(root) == {}
    with pytest.raises(Restored, match=r"Input/output error: models/best_model\.pth"):
        take(root)


def bad_sector(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read

    def read(handle: int, length: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{handle}") == str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(handle, length)

    monkeypatch.setattr("atftctl.host.copying.copier.os.read", read)


@needs_root
def test_a_file_that_may_not_be_read_is_named(root: Path) -> None:
    """The user is another one, as the kernel sees it; one file of four is closed to them."""
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to other users
        os.chmod(open_to_all, 0o755)
        theirs = Path(shutil.copytree(root, Path(open_to_all) / "project"))
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, 12345, 12345)
        (theirs / "models/best_model.pth").chmod(0)

        def as_user() -> None:
            os.setresuid(12345, 12345, 12345)
            with pytest.raises(Restored, match=r"Permission denied: .*models/best_model\.pth") as caught:
                take(theirs)
            assert "no snapshot was taken" in caught.value.state
            raise caught.value

        assert in_child(as_user)[0] == 4
        assert not list((theirs / "backups").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_really_full_disk(tmp_path: Path) -> None:
    mount = tmp_path / "disk"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(mount)], check=False).returncode:
        pytest.skip("mount is not permitted here")
    try:
        project = make_project(mount / "project", tmp_path / "violations")
        project.write("models/best_model.pth", os.urandom(5 << 20))
        refused = project.run("backup")
        assert refused.code == 3 and "no room" in refused.err and "the reserve included" in refused.err, refused
        assert not list((project.root / "backups").glob("*"))
        assert project.run("backup", "--only", "configs").code == 0
        (mount / "filler").write_bytes(b"x" * ((mount_free(mount)) - 100_000))
        assert project.run("rollback", "--immediate", "--yes", "--no-restart").code == 0
        assert project.run("backup", "verify", "--all").code == 0
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def mount_free(path: Path) -> int:
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mkfs.xfs"), reason="needs root and mkfs.xfs (apt-get install xfsprogs)"
)
def test_reflinks_where_the_file_system_can(tmp_path: Path) -> None:
    image, mount = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    mount.mkdir()
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=False).returncode:
        pytest.skip("mount is not permitted here")
    try:
        project = make_project(mount / "project", tmp_path / "violations")
        project.write("models/best_model.pth", os.urandom(60 << 20))
        os.sync()
        before = mount_free(mount)
        name = project.run("backup", "--json").json["data"]["id"]
        os.sync()
        assert before - mount_free(mount) < 20 << 20, "the copy shares its blocks"
        copy = project.root / "backups" / name / "models/best_model.pth"
        with (project.root / "models/best_model.pth").open("r+b") as file:
            file.write(b"changed")
        assert not copy.read_bytes().startswith(b"changed")
        assert project.run("backup", "verify", "--all").code == 0
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_refused_before_anything_starts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_space, "free_bytes", lambda path: 1 << 20)
    with pytest.raises(Refused, match="no room"):
        take(root)
    assert not list((root / "backups").glob("*"))


def test_two_at_once_and_two_in_one_second(project: Project) -> None:
    children = [project.start("backup", "--json") for _ in range(4)]
    ends = [(child.communicate()[0], child.returncode) for child in children]
    assert {code for _, code in ends} <= {0, 3} and any(code == 0 for _, code in ends)
    assert all("is running `backup`" in out for out, code in ends if code == 3)
    for _ in range(3):
        assert project.run("backup").code == 0
    names = [one["id"] for one in project.run("backup", "list", "--json").json["data"]["snapshots"]]
    assert len(names) == len(set(names)) == 3 + sum(code == 0 for _, code in ends)
    assert project.run("backup", "verify", "--all").code == 0
