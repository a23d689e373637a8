"""A kill at any instant leaves the old state or the new one after `recover`, never a mixture.

The real operation runs in a forked child and is killed before its n-th mutating system call, for every n.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused
from atftctl.operations import undo as undoing
from atftctl.operations.project import open_for_rescue, open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from tests.support.faults import BROKEN, EVERY, FULL, KILLED, Faults, in_child
from tests.support.projects import CONFIG, TRAINING, make_project
from tests.support.recovery import recover
from tests.support.today import TODAY
from tests.support.users import needs_root

UNCAUGHT = 99  # an OSError before the operation began: the command line's boundary makes it exit 3
NAMES = (CONFIG, TRAINING)


def roll_back(root: Path) -> None:
    routes.immediate(open_project(root), RestartPolicy(), Request(reason="crash test"))


def undo(root: Path) -> None:
    undoing.undo(open_for_rescue(root), "", RestartPolicy(), Request())


def state(root: Path) -> tuple[bytes, ...]:
    return tuple((root / name).read_bytes() for name in NAMES)


class World:
    """A template project, its state before and after the rollback, and fresh copies of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = make_project(folder / "template", folder / "violations").root
        self._copies = 0
        self.before = state(self._template)
        done = self.fresh()
        code, self.calls = in_child(lambda: roll_back(done), Faults())
        assert code == 0
        self.after = state(done)
        assert self.after != self.before

    def fresh(self) -> Path:
        self._copies += 1
        root = self._folder / f"copy{self._copies}"
        shutil.copytree(self._template, root)
        return root

    def check_whole(self, root: Path) -> str:
        """Old or new, nothing left lying about, and the way back still open."""
        found = state(root)
        assert found in (self.before, self.after), "a mixture"
        left = [path.name for path in root.rglob("*") if path.name.endswith((".staged", ".tmp", ".partial"))]
        journal = (
            [path.name for path in (root / ".atftctl" / "journal").glob("*")] if (root / ".atftctl").exists() else []
        )
        assert not left and not journal, (left, journal)
        return "new" if found == self.after else "old"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("crashes"))


def test_a_kill_at_every_call_leaves_old_or_new(world: World) -> None:
    assert len(world.calls) > 60, world.calls
    ends = []
    for at in range(1 + TODAY % EVERY, len(world.calls) + 1, EVERY):
        root = world.fresh()
        code, _ = in_child(lambda root=root: roll_back(root), Faults(at))
        assert code == KILLED, (at, code)
        assert in_child(lambda root=root: recover(root))[0] == 0, at
        ends.append(world.check_whole(root))
        if ends[-1] == "new":
            assert in_child(lambda root=root: undo(root))[0] == 0, at
            assert state(root) == world.before, at
        shutil.rmtree(root)
    assert ends == sorted(ends, reverse=True), "old up to the decision, new from it on"
    assert {"old", "new"} == set(ends)


def test_a_crash_inside_recovery_is_recovered_from(world: World) -> None:
    """For every point after BEGIN, and every point of the recovery from it."""
    pairs = 0
    first = world.calls.index("open")
    for at in range(first + 1 + TODAY % EVERY, len(world.calls) + 1, 5 * EVERY):
        crashed = world.fresh()
        in_child(lambda crashed=crashed: roll_back(crashed), Faults(at))
        probe = world._folder / "probe"
        shutil.copytree(crashed, probe)
        _, calls = in_child(lambda probe=probe: recover(probe), Faults())
        shutil.rmtree(probe)
        for second in range(1 + TODAY % EVERY, len(calls) + 1, EVERY):
            shutil.copytree(crashed, probe)
            assert in_child(lambda probe=probe: recover(probe), Faults(second))[0] == KILLED
            assert in_child(lambda probe=probe: recover(probe))[0] == 0, (at, second)
            world.check_whole(probe)
            shutil.rmtree(probe)
            pairs += 1
        shutil.rmtree(crashed)
    assert pairs > 400 // EVERY // EVERY


@pytest.mark.parametrize("error", [FULL, BROKEN], ids=["ENOSPC", "EIO"])
def test_an_error_at_every_call_is_put_back_or_left_open_and_said(world: World, error: int) -> None:
    """A call that fails once: exit 0 (it did not matter), 3 or 4 (as it was), or 5 (open; recover finishes)."""
    codes = set()
    for at in range(1 + TODAY % EVERY, len(world.calls) + 1, EVERY):
        root = world.fresh()
        code, _ = in_child(lambda root=root: roll_back(root), Faults(at, error))
        codes.add(code)
        found = state(root)
        assert code in (0, 3, 4, 5, UNCAUGHT), (at, world.calls[at - 1], code)
        if code in (3, 4, UNCAUGHT):
            assert found == world.before, (at, code)
        if code == 0:
            assert found == world.after, at
        assert in_child(lambda root=root: recover(root))[0] == 0, at
        world.check_whole(root)
        shutil.rmtree(root)
    assert codes & {0, 5}
    assert error is FULL or EVERY > 1 or 4 in codes, "a full disk is retried with the reserve, a broken one is put back"


def test_a_journal_from_a_newer_version_is_left_alone(world: World) -> None:
    root = world.fresh()
    in_child(lambda: roll_back(root), Faults(len(world.calls) - 30))
    records = sorted((root / ".atftctl" / "journal").glob("*.json"))
    assert records
    for record in records:
        record.write_text(record.read_text().replace('"version": 1', '"version": 2'))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "reserve"}
    assert in_child(lambda: recover(root))[0] == 5
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "reserve"}
    before.pop(root / ".atftctl" / "lock", None), after.pop(root / ".atftctl" / "lock", None)
    assert before == after


@needs_root
def test_a_plain_user_is_refused_a_file_of_another(world: World) -> None:
    """The user is another one, as the kernel sees it; the file is root's. Exit 3, and nothing has changed."""
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to other users
        os.chmod(open_to_all, 0o755)
        root = Path(shutil.copytree(world.fresh(), Path(open_to_all) / "project"))
        for path in (root, *root.rglob("*")):
            os.chown(path, 12345, 12345)
        os.chown(root / CONFIG, 0, 0)

        def as_user() -> None:
            os.setresuid(12345, 12345, 12345)
            with pytest.raises(Refused, match="belongs to another user") as caught:
                roll_back(root)
            raise caught.value

        assert in_child(as_user)[0] == 3
        assert state(root) == world.before
        assert not (root / ".atftctl").exists()
