"""The changing commands, each with a project that it has something to change in, and what must hold after any end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations import config, restore
from atftctl.operations import recover as recovering
from atftctl.operations import resume as resuming
from atftctl.operations import undo as undoing
from atftctl.operations.backup import catalog as backup_catalog
from atftctl.operations.backup import prune
from atftctl.operations.backup import verify as check_backups
from atftctl.operations.project import now, open_for_rescue, open_project
from atftctl.operations.reenable import control
from atftctl.operations.reenable import phase as reenable
from atftctl.operations.reenable.order import Asked
from atftctl.operations.request import Request
from atftctl.operations.rollback import commits as code
from atftctl.operations.rollback import manual, routes, staged
from atftctl.operations.runbook import pages
from atftctl.operations.trainer_process import guard
from atftctl.state import checked_copies, history, quarantine
from tests.support.faults import Faults, in_child
from tests.support.projects import CONFIG, RUNBOOK, Project, make_project
from tests.support.recovery import leftovers, state
from tests.support.repositories import with_history
from tests.support.snapshots import KEEP, KEEP_ONE, layout_of, mark_verified, take

FILES_ONLY = RestartPolicy(restart=False)
Act = Callable[[Path], Any]


def without_pages(root: Path) -> None:
    for page in (root / "runbooks").glob("*.md"):
        page.unlink()


def nothing(root: Path) -> None:
    del root


def with_snapshots(root: Path) -> None:
    """Three, the last of them verified-good; then everything is another."""
    take(root, "first")
    take(root, "second")
    mark_verified(root)
    take(root, "good")
    Project(root).replace(CONFIG, "gat_temperature: 0.8", "gat_temperature: 0.7")
    (root / "models/best_model.pth").write_bytes(b"other weights" * 1000)
    (root / "models/last.pth").unlink()


def with_pin(root: Path) -> None:
    take(root, "first", pin=True)


def with_many(root: Path) -> None:
    Project(root).replace(RUNBOOK, KEEP, KEEP_ONE)
    for _ in range(3):
        take(root)


def rolled_back(root: Path) -> None:
    routes.immediate(open_project(root), FILES_ONLY, Request(reason="torture"))


def quarantined(root: Path) -> None:
    layout_of(root).state.mkdir()
    from atftctl.observe.configs import digest, read_configs

    found = digest(read_configs(root, open_project(root).runbook.files))
    quarantine.add(layout_of(root), found, "torture", now())


def reverted(root: Path) -> None:
    with_history(root)
    code.revert(open_project(root), code.CommitSelection(("HEAD",)), FILES_ONLY, Request())


def with_improvements(root: Path) -> None:
    project = Project(root)
    for line in project.read(RUNBOOK).decode().splitlines():
        if "trainer/improvements/" in line:
            name = line.strip("- ")
            project.write(name, f"# {name}\n")


def half_decided(root: Path) -> None:
    """Killed after the decision, with one of two files in place."""
    template = root.with_name(f"{root.name}-count")
    shutil.copytree(root, template, symlinks=True)
    _, calls = in_child(lambda: rolled_back(template), Faults())
    shutil.rmtree(template)
    commits = [at for at, name in enumerate(calls, 1) if name == "replace"]
    in_child(lambda: rolled_back(root), Faults(commits[-3]))
    assert list((root / ".atftctl/journal").glob("*.commit.json")), "after the decision"


def unconfirmed(root: Path) -> None:
    """A change whose time to be confirmed was over before a reboot."""
    from atftctl.domain.pending import PendingChange
    from atftctl.state import pending

    rolled_back(root)
    layout, at = layout_of(root), "2026-01-01T00:00:00+00:00"
    operation = str(history.read(layout)[-1]["operation"])
    change = PendingChange(operation, "rollback", "t", "me", "", at, 60, 0.0, "another boot", at, restart=False)
    pending.write(layout, change)


def left_staged(root: Path) -> None:
    from atftctl.domain.staged import StagedState
    from atftctl.state import staged as kept

    layout_of(root).state.mkdir()
    kept.write(layout_of(root), StagedState("oom", ("table", "immediate"), 0, "changing", (), "now", "me", ""))


def with_phase(root: Path) -> None:
    """Phase 1 is in place and held: no trainer runs that could be judged."""
    rolled_back(root)
    assert reenable.phase(open_project(root), Asked(1), FILES_ONLY, Request()).exit_code == 6


@dataclass
class Command:
    """`undoable`: an undo of it gives back what stood before, byte by byte."""

    name: str
    act: Act
    prepare: Act = nothing
    undoable: bool = False
    logged: bool = False  # once it has said that it is done, the history tells of it
    expected: int = 0  # how it ends when nothing strikes
    ends: list[Any] = field(default_factory=list)  # states of the project that it may leave
    template: Path = Path()
    before: Any = None

    def make(self, folder: Path) -> None:
        """The template, and both ends."""
        self.template = make_project(folder / self.name.replace(" ", "-"), folder / "violations").root
        self.prepare(self.template)
        drop_reserve(self.template)
        done = self.fresh(folder, "done")
        self.before = state(done)
        exit_code, _ = in_child(lambda: self.act(done))
        assert exit_code == self.expected, (self.name, exit_code)
        self.ends = [self.before, state(done)]
        if self.expected:  # put back; or, killed before that was decided, finished by a recovery that meets no obstacle
            other = self.fresh(folder, "other")
            in_child(lambda: rolled_back(other))
            self.ends = [self.before, state(other), self.before]
        if self.name in ("recover", "overdue undo"):
            self.ends = [state(done)]
        shutil.rmtree(done)

    def fresh(self, folder: Path, name: str) -> Path:
        root = folder / f"{self.template.name}-{name}"
        copy_tree(self.template, root)
        return root


def copy_tree(source: Path, target: Path) -> None:
    """With times and hard links."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def drop_reserve(root: Path) -> None:
    """Four megabytes that every copy would have to copy."""
    with suppress(FileNotFoundError):
        (root / ".atftctl/reserve").unlink()


COMMANDS = (
    Command("backup", take, undoable=False),
    Command("backup pinned", lambda root: take(root, pin=True)),
    Command("backup linked", take, with_pin),
    Command("backup pin", lambda root: backup_catalog.pin(open_project(root), "second", Request(), away=False), with_snapshots),
    Command("backup unpin", lambda root: backup_catalog.pin(open_project(root), "first", Request(), away=True), with_pin),
    Command("backup rm", lambda root: prune.remove(open_project(root), ["second"], Request()), with_snapshots, logged=True),
    Command("backup prune", lambda root: prune.prune(open_project(root), Request()), with_many, logged=True),
    Command("backup verify", lambda root: check_backups.verify(open_project(root), (), Request(), everything=True),
            with_snapshots),
    Command("rollback immediate", rolled_back, undoable=True, logged=True),
    Command("rollback blocked", lambda root: blocked(root), expected=4),
    Command("rollback symptom",
            lambda root: routes.by_symptom(open_project(root), "oom", FILES_ONLY, Request()),
            undoable=True, logged=True),
    Command("rollback feature",
            lambda root: routes.by_feature(open_project(root), ["use_ema", "loss_type"], FILES_ONLY, Request()),
            undoable=True, logged=True),
    Command("rollback to", lambda root: routes.to_snapshot(open_project(root), "last-good", FILES_ONLY, Request()),
            with_snapshots, undoable=True, logged=True),
    Command("rollback git",
            lambda root: code.revert(open_project(root), code.CommitSelection(("HEAD",)), FILES_ONLY, Request()),
            with_history, undoable=True, logged=True),
    Command("rollback full", lambda root: full(root), with_improvements, undoable=True, logged=True),
    Command("restore", lambda root: restore.restore(open_project(root), "first", (), FILES_ONLY, Request()),
            with_snapshots, undoable=True, logged=True),
    Command("undo", lambda root: undoing.undo(open_for_rescue(root), "", FILES_ONLY, Request()), rolled_back,
            undoable=True, logged=True),
    Command("undo git", lambda root: undoing.undo(open_for_rescue(root), "", FILES_ONLY, Request()), reverted,
            undoable=True, logged=True),
    Command("reenable",
            lambda root: reenable.phase(open_project(root), Asked(1), FILES_ONLY, Request()), rolled_back,
            undoable=True, logged=True),
    Command("reenable halt", lambda root: control.halt(open_project(root), Request()), with_phase),
    Command("reenable accept", lambda root: control.accept(open_project(root), 0, "torture", Request()), with_phase, logged=True),
    Command("resume drop phases", lambda root: resuming.resume(open_project(root), "", FILES_ONLY, Request(), drop=True),
            with_phase),
    Command("config set",
            lambda root: config.set_settings(open_project(root), ["gat_temperature=0.9", "loss.type=mse"], FILES_ONLY, Request()),
            undoable=True, logged=True),
    Command("recover", lambda root: recovering.recover(open_for_rescue(root), Request()), half_decided, logged=True),
    Command("overdue undo", lambda root: recovering.recover(open_for_rescue(root), Request()), unconfirmed, logged=True),
    Command("resume drop", lambda root: staged.resume(open_project(root), "", FILES_ONLY, Request(), drop=True), left_staged),
    Command("guard override", lambda root: guard.check(open_project(root), "torture"), quarantined),
    Command("runbook render", lambda root: pages.render(open_project(root), Request(), check=False),
            without_pages),
)  # fmt: skip


def blocked(root: Path) -> Any:
    """The second of two configs can't be replaced: all go back."""
    import errno

    from atftctl.apply import moves

    real = moves.rename

    def rename(source: Path, target: Path) -> None:
        if target.name == "production.yaml" and source.name.endswith(".staged"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
        real(source, target)

    moves.rename = rename
    try:
        return rolled_back(root)
    finally:
        moves.rename = real


def full(root: Path) -> Any:
    """Without the probe at its end, which needs the trainer."""
    real = manual._with_probe
    manual._with_probe = lambda project, result, request: result
    try:
        return manual.full(open_project(root), "", FILES_ONLY, Request())
    finally:
        manual._with_probe = real


def check(command: Command, root: Path, exit_code: int) -> str:
    """After a clean recovery: what is wrong, "" where all holds. `exit_code`: of the command that was struck."""
    found = state(root)
    if found not in command.ends:
        return f"a mixture: {differences(command.before, found)}"
    if exit_code == 0 and found != command.ends[-1]:
        return "said that it was done, and it is not"
    layout = layout_of(root)
    if left := leftovers(root):
        return f"left behind: {left}"
    known, broken = observed.scan(layout)
    if broken:
        return f"broken snapshots: {broken}"
    checked = checked_copies.checked(layout)
    if harmed := [why for one in known if (why := observed.known_damage(layout, one, checked))]:
        return f"harmed snapshots: {harmed}"
    if torn := history.tampered(layout):
        return f"the history: {torn}"
    lines = history.read(layout)
    if exit_code == 0 and command.logged and not lines:
        return "an acknowledged operation is not in the history"
    return ""


def check_undo(command: Command, root: Path) -> str:
    """From the new state back to the old one, byte by byte."""
    if not command.undoable or state(root) == command.before:
        return ""
    exit_code, _ = in_child(lambda: undoing.undo(open_for_rescue(root), "", FILES_ONLY, Request()))
    if exit_code:
        return f"undo ends with {exit_code}"
    return "" if state(root) == command.before else f"undo is not exact: {differences(command.before, state(root))}"


def differences(old: Any, new: Any) -> list[str]:
    left, right = (one[0] if isinstance(one, tuple) else one for one in (old, new))
    words = [name for name in sorted({*left, *right}) if left.get(name) != right.get(name)]
    return words if not isinstance(old, tuple) else [*words, f"tree {old[1:]} → {new[1:]}"]
