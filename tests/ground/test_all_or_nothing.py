"""What can't be replaced is found out before anything is decided; and a way back from a failure after the decision."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from atftctl.apply import moves
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.host.process import table as procs
from atftctl.operations import restore
from atftctl.operations.project import open_project
from atftctl.operations.request import Request
from atftctl.operations.rollback import routes
from tests.support.faults import EVERY, KILLED, Faults, in_child
from tests.support.projects import CONFIG, RUNBOOK, TRAINING, Project, make_project, wait_for
from tests.support.recovery import copy_project, leftovers, recover, state
from tests.support.snapshots import layout_of, take
from tests.support.today import TODAY
from tests.support.users import needs_root
from tests.torture.commands import COMMANDS
from tests.torture.power import Losses, sample

FILES_ONLY = RestartPolicy(restart=False)
IMMEDIATE = ("rollback", "--immediate", "--yes")


@contextmanager
def mounted(source: Path, target: Path, *options: str) -> Iterator[None]:
    if subprocess.run(["mount", *options, str(source), str(target)], capture_output=True).returncode:
        pytest.skip("mount is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)


@pytest.fixture
def running(project: Project) -> Project:
    assert project.run("trainer", "start").code == 0
    return project


def unchanged(project: Project, before: tuple[bytes, bytes], pid: int) -> bool:
    journal = project.root / ".atftctl/journal"
    return project.configs() == before and procs.identify(pid) is not None and not list(journal.glob("*"))


@needs_root
@pytest.mark.parametrize("name", [CONFIG, TRAINING])
def test_a_config_that_is_mounted_by_itself(running: Project, name: str, tmp_path: Path) -> None:
    """As Docker Compose and a Kubernetes subPath mount it."""
    before, pid = running.configs(), running.record()["pid"]
    shutil.copy(running.root / name, tmp_path / "mounted.yaml")
    with mounted(tmp_path / "mounted.yaml", running.root / name, "--bind"):
        ended = running.run(*IMMEDIATE)
        assert ended.code == 3 and "mount point" in ended.err and "subPath" in ended.err, ended
        assert unchanged(running, before, pid)
        assert "mount point" in running.run("doctor", "--json").out
    assert running.run(*IMMEDIATE).code == 0


@needs_root
@pytest.mark.parametrize(("flag", "place"), [("+i", TRAINING), ("+a", TRAINING), ("+i", "configs/atft/train")])
def test_a_config_that_is_immutable_or_append_only(running: Project, flag: str, place: str) -> None:
    before, pid = running.configs(), running.record()["pid"]
    if subprocess.run(["chattr", flag, str(running.root / place)], capture_output=True).returncode:
        pytest.skip("this file system has no such flags")
    try:
        ended = running.run(*IMMEDIATE)
        assert ended.code == 3 and f"chattr -{flag[1]}" in ended.err and TRAINING in ended.err, ended
        assert unchanged(running, before, pid)
    finally:
        subprocess.run(["chattr", f"-{flag[1]}", str(running.root / place)], check=True)


@needs_root
def test_a_config_on_a_disk_that_is_mounted_read_only(running: Project, tmp_path: Path) -> None:
    before, pid = running.configs(), running.record()["pid"]
    folder = running.root / "configs/atft/train"
    with mounted(folder, folder, "--bind"):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        ended = running.run(*IMMEDIATE)
        assert ended.code == 3 and "read-only" in ended.err, ended
        assert unchanged(running, before, pid)


@contextmanager
def blocked(name: str, number: int = errno.EBUSY) -> Iterator[None]:
    """Replacing a file of this name fails for good, and nobody could see it before."""
    real = moves.rename

    def rename(source: Path, target: Path) -> None:
        if target.name == name and source.name.endswith(".staged"):
            raise OSError(number, os.strerror(number), str(target))
        real(source, target)

    moves.rename = rename
    try:
        yield
    finally:
        moves.rename = real


def roll_back_blocked(root: Path, number: int = errno.EBUSY, policy: RestartPolicy = FILES_ONLY) -> Any:
    with blocked("production.yaml", number):
        return routes.immediate(open_project(root), policy, Request())


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM, errno.EROFS])
def test_a_replace_that_fails_for_good_puts_everything_back(root: Path, number: int) -> None:
    before = state(root)
    code, _ = in_child(lambda: roll_back_blocked(root, number))
    assert code == 4 and state(root) == before
    layout = layout_of(root)
    assert not list(layout.journal.glob("*")) and not list(layout.backups.glob("*/.pinned"))
    assert not list(root.rglob(".*.staged")) and not list(root.rglob(".*.back"))
    line = open_project(root), Project(root).read(".atftctl/history.jsonl").decode()
    assert '"outcome": "put back"' in line[1] and '"exit_code": 4' in line[1]
    assert in_child(lambda: routes.immediate(open_project(root), RestartPolicy(restart=False), Request()))[0] == 0


def test_the_trainer_comes_back_with_the_files(running: Project) -> None:
    before = running.configs()
    script = running.root.parent / "strike"
    script.mkdir()
    (script / "sitecustomize.py").write_text(
        "import os\nreal = os.replace\n"
        "def replace(source, target, **more):\n"
        "    if target == 'production.yaml' and source.endswith('.staged'): raise OSError(16, 'busy', target)\n"
        "    return real(source, target, **more)\nos.replace = replace\n"
    )
    ended = running.run(*IMMEDIATE, env={"PYTHONPATH": f"{script}:{running.env['PYTHONPATH']}"})
    assert ended.code == 4 and "can't be replaced" in ended.err and "as it was" in ended.err, ended
    assert running.configs() == before
    wait_for(lambda: running.run("trainer", "status").out.startswith("trainer: running"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("abort")
    return make_project(folder / "template", folder / "violations").root


def ends_of(template: Path) -> tuple[Any, Any]:
    done = copy_project(template, "done")
    assert in_child(lambda: routes.immediate(open_project(done), RestartPolicy(restart=False), Request()))[0] == 0
    return state(template), state(done)


def after_the_decision(calls: list[str], template: Path) -> int:
    """The number of the first call after COMMIT."""
    plain = copy_project(template, "plain")
    seen: list[int] = []
    from atftctl.apply.transaction import Transaction

    def act() -> None:
        real = Transaction.replace

        def replace(self: Transaction) -> None:
            os.write(2, b"")  # counted
            real(self)

        Transaction.replace = replace  # type: ignore[method-assign]
        roll_back_blocked(plain)

    _, marked = in_child(act, Faults())
    seen += [at for at, (one, other) in enumerate(zip(marked, calls, strict=False)) if one != other]
    return seen[0] + 1


@pytest.mark.parametrize("kind", ["before", "after", "EIO", "ENOSPC"])
def test_a_kill_or_an_error_at_every_call_of_the_way_back(template: Path, kind: str) -> None:
    """Old or new after `recover`, never a mixture; from ABORT on always the old ones."""
    before, after = ends_of(template)
    counted = copy_project(template, "count")
    _, calls = in_child(lambda: roll_back_blocked(counted), Faults())
    first = after_the_decision(calls, template)
    ends, told = [], set()
    for at in range(first + TODAY % EVERY, len(calls) + 1, EVERY):
        root = copy_project(template, "struck")
        error = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}.get(kind, 0)
        faults = Faults(at, error, kind if kind in ("before", "after") else "error")  # type: ignore[arg-type]
        code, _ = in_child(lambda root=root: roll_back_blocked(root), faults)
        told.add(code)
        assert code == KILLED if not error else code in (4, 5), (at, calls[at - 1], code)
        if code == 4:
            assert state(root) == before
        recovered, _ = in_child(lambda root=root: recover(root), Faults())
        assert recovered == 0, (at, calls[at - 1])
        assert state(root) in (before, after) and not leftovers(root), (at, calls[at - 1], leftovers(root))
        ends.append("old" if state(root) == before else "new")
    assert "old" in ends and told <= {KILLED, 4, 5}
    if not error:
        assert ends == sorted(ends) and ends[-1] == "old", "from ABORT on the old ones, and never again the new"


def test_a_crash_inside_the_recovery_of_the_way_back(template: Path) -> None:
    before, after = ends_of(template)
    counted = copy_project(template, "count")
    _, calls = in_child(lambda: roll_back_blocked(counted), Faults())
    first, pairs = after_the_decision(calls, template), 0
    for at in range(first + TODAY % EVERY, len(calls) + 1, 2 * EVERY):
        crashed = copy_project(template, "crashed")
        in_child(lambda crashed=crashed: roll_back_blocked(crashed), Faults(at))
        probe = copy_project(crashed, "probe")
        _, more = in_child(lambda probe=probe: recover(probe), Faults())
        for second in range(1 + TODAY % EVERY, len(more) + 1, EVERY):
            probe = copy_project(crashed, "probe")
            in_child(lambda probe=probe: recover(probe), Faults(second))
            assert in_child(lambda probe=probe: recover(probe))[0] == 0, (at, second)
            assert state(probe) in (before, after) and not leftovers(probe), (at, second)
            pairs += 1
    assert pairs * EVERY**2 > 500, "every call struck: hundreds of pairs"


def test_power_losses_on_the_way_back(tmp_path: Path) -> None:
    command = next(command for command in COMMANDS if command.name == "rollback blocked")
    command.make(tmp_path)
    losses = Losses()
    sample(command, tmp_path, 15, TODAY, losses)
    assert not losses.failures, losses.failures


def killed_in_the_middle(root: Path) -> None:
    """After COMMIT, with one of two files in place, and the other one blocked."""

    def act() -> None:
        real = moves.rename

        def rename(source: Path, target: Path) -> None:
            if target.name == "production.yaml":
                os.kill(os.getpid(), 9)
            real(source, target)

        moves.rename = rename
        routes.immediate(open_project(root), RestartPolicy(restart=False), Request())

    assert in_child(act)[0] == KILLED


def test_recovery_that_fails_for_good_names_the_way_back(root: Path) -> None:
    before = state(root)
    killed_in_the_middle(root)
    assert state(root) != before

    def blocked_recovery() -> None:
        with blocked("production.yaml"):
            recover(root)

    assert in_child(blocked_recovery)[0] == 5
    ended = Project(root, {**os.environ}).run("status")
    assert "recover" in ended.out

    def back() -> None:
        with blocked("production.yaml"):
            recover(root, back=True)

    assert in_child(back)[0] == 0 and state(root) == before and not leftovers(root)


def test_the_way_back_needs_whole_copies(root: Path) -> None:
    killed_in_the_middle(root)
    copy = next((root / "backups").glob(f"*/{CONFIG}"))
    copy.chmod(0o600)
    copy.write_bytes(b"damaged: true\n")
    found = state(root)
    assert in_child(lambda: recover(root, back=True))[0] == 5 and state(root) == found
    assert not list(layout_of(root).journal.glob("*.abort.json"))
    assert in_child(lambda: recover(root))[0] == 0, "forwards it goes even so"


def test_recover_back_undoes_nothing_else(root: Path) -> None:
    assert in_child(lambda: routes.immediate(open_project(root), RestartPolicy(restart=False), Request()))[0] == 0
    after = state(root)
    assert in_child(lambda: recover(root, back=True))[0] == 0 and state(root) == after


def test_restore_is_put_back_too(root: Path) -> None:
    name = take(root)
    for path in (CONFIG, TRAINING):
        Project(root).write(path, "a: 1\n")
    before = state(root)

    def act() -> None:
        with blocked("production.yaml"):
            restore.restore(open_project(root), name, (), RestartPolicy(restart=False), Request())

    assert in_child(act)[0] == 4 and state(root) == before and not leftovers(root)
    assert RUNBOOK
