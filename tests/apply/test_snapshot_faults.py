"""Taking and removing snapshots while calls fail, the process is killed, or the disk is full."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused, Restored
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations.backup import prune
from atftctl.operations.change import free_space
from atftctl.operations.project import open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from tests.support.faults import BROKEN, EVERY, FULL, KILLED, Faults, in_child
from tests.support.projects import CONFIG, RUNBOOK, Project, make_project
from tests.support.snapshots import layout_of, problems, take
from tests.support.today import TODAY
from tests.support.users import needs_root


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
    for at in range(1 + TODAY % EVERY, len(calls) + 1, EVERY):
        root = fresh(at)
        assert in_child(lambda root=root: take(root, pin=True), Faults(at))[0] == KILLED, at
        known = observed.list_snapshots(layout_of(root))
        seen.add(len(known) - before)
        assert in_child(lambda root=root: take(root))[0] == 0, "the next one works"
        assert problems(root) == {}, at
        assert not [one.name for one in (root / "backups").iterdir() if one.name.startswith(".")], at
        shutil.rmtree(root)
    assert seen == {0, 1} if EVERY == 1 else seen <= {0, 1}, seen


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
    for at in range(1 + TODAY % EVERY, len(calls) + 1, EVERY):
        root = copy_of(settled, at)
        code, _ = in_child(lambda root=root: take(root), Faults(at, error))
        known = observed.list_snapshots(layout_of(root))
        assert len(known) == 2 if code == 0 else len(known) in (1, 2), (at, calls[at - 1], code)
        assert code in (0, 4, 5, 99), (at, calls[at - 1], code)  # 99: an OSError outside; the boundary makes it exit 3
        assert in_child(lambda root=root: take(root))[0] == 0, at
        assert problems(root) == {}, at
        shutil.rmtree(root)


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
    for at in range(1 + TODAY % EVERY, len(calls) + 1, EVERY):
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
        assert refused.code == 3 and "not enough disk space" in refused.err and "the reserve" in refused.err, refused
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
    with pytest.raises(Refused, match="not enough disk space"):
        take(root)
    assert not list((root / "backups").glob("*"))
