"""`backup list`, `backup show`, `backup pin` and `backup unpin`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from atftctl.apply.snapshots import pin as pins
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.snapshot import Passed, Snapshot
from atftctl.domain.snapshot_steps import PinSnapshot
from atftctl.host import locks
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import cp_copies
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state import checked_copies


@record
class FileCopy(Data):
    """One file in a snapshot.

    path: its path in the project. sha256: SHA-256 of its content; for a symbolic link `link:` and its target. size:
    bytes. zip: for a checkpoint `whole`, or what is damaged in it; otherwise empty.
    """

    path: str
    sha256: str
    size: int
    zip: str


@record
class SnapshotSummary(Data):
    """One snapshot.

    id: its id. created: when it was taken, ISO 8601. label: its label, or empty. reason: why it was taken, or empty.
    verified_good: whether its files passed `verify`. pinned: whether `backup prune` must keep it. operation: the
    operation that took it before a change, or empty. commit: the git commit at that time, or empty. bytes: size of all
    its files. files: its files.
    """

    id: str
    created: str
    label: str
    reason: str
    verified_good: bool
    pinned: bool
    operation: str
    commit: str
    bytes: int
    files: tuple[FileCopy, ...]


@record
class ListedSnapshot(SnapshotSummary):
    """One snapshot of the list.

    damage: the first damage that is known of it, or empty.
    """

    damage: str = ""


@record
class CopyMadeByCp(Data):
    """One copy that was made with `cp`, such as `config.yaml.backup`.

    path: its path in the project. of: the file that it is a copy of. stamp: the time in its name, or empty. size:
    bytes. modified: when it was last written, ISO 8601. mode: its permission bits. created: the time in its name,
    otherwise when it was last written, ISO 8601.
    """

    path: str
    of: str
    stamp: str
    size: int
    modified: str
    mode: int
    created: str


@record
class BackupListData(Data):
    """Data of `backup list`.

    snapshots: the snapshots, oldest first. damaged: folders that are no readable snapshot, by name, with the reason.
    made_by_cp: copies of configs and models that were made with `cp`, oldest first.
    """

    snapshots: tuple[ListedSnapshot, ...]
    damaged: Mapping[str, str]
    made_by_cp: tuple[CopyMadeByCp, ...]


@record
class BackupShowData(SnapshotSummary):
    """Data of `backup show`.

    operator: who took it. dirty: whether the code had uncommitted changes. code_diff: whether the snapshot holds these
    changes, in `code.diff`. runbook_sha256: SHA-256 of the runbook at that time. config_digest: digest of all configs.
    baseline: the recorded baseline at that time. passed: the checklist that its files passed: `at` and `checks`; or
    null. left_out: files that were not taken, by path, with the reason. folder: its folder, relative to the project.
    """

    operator: str = ""
    dirty: bool = False
    code_diff: bool = False
    runbook_sha256: str = ""
    config_digest: str = ""
    baseline: Mapping[str, Any] = field(default_factory=dict)
    passed: Passed | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""


@record
class PinData(Data):
    """Data of `backup pin` and `backup unpin`.

    id: the snapshot. pinned: whether it is pinned now.
    """

    id: str
    pinned: bool


def list_all(project: Project) -> Result:
    """List all snapshots, damaged ones too, and the copies that were made with `cp`."""
    layout = project.layout
    snapshots, broken = observed.scan(layout)
    copies = cp_copies.find_cp_copies(layout, project.runbook.files)
    checked = checked_copies.checked(layout)
    damage = {snapshot.id: why for snapshot in snapshots if (why := observed.known_damage(layout, snapshot, checked))}
    counts = [trn("{count} snapshot", "{count} snapshots", len(snapshots))]
    if broken or damage:
        counts.append(tr("{count} damaged", count=len(broken) + len(damage)))
    if copies:
        counts.append(trn("{count} copy made by cp", "{count} copies made by cp", len(copies)))
    return Result(
        "backup list",
        Exit.DONE,
        joined(", ", counts),
        data=BackupListData(
            snapshots=tuple(
                ListedSnapshot(**vars(summarize(snapshot)), damage=damage.get(snapshot.id, ""))
                for snapshot in snapshots
            ),
            damaged=broken,
            made_by_cp=tuple(CopyMadeByCp(**vars(copy), created=copy.created) for copy in copies),
        ),
    )


def show(project: Project, word: str) -> Result:
    """Show one snapshot in full. Raises Refused or UsageError where `word` names no snapshot."""
    snapshot = observed.find(project.layout, observed.list_snapshots(project.layout), word)
    data = BackupShowData(
        **vars(summarize(snapshot)),
        operator=snapshot.operator,
        dirty=snapshot.dirty,
        code_diff=bool(snapshot.code_diff),
        runbook_sha256=snapshot.runbook_sha256,
        config_digest=snapshot.config_digest,
        baseline=dict(snapshot.baseline),
        passed=snapshot.passed,
        left_out=dict(snapshot.left_out),
        folder=snapshot.folder,
    )
    return Result("backup show", Exit.DONE, tr("snapshot {id}", id=snapshot.id), data=data)


def pin(project: Project, word: str, request: Request, *, away: bool) -> Result:
    """Pin a snapshot, so that no prune removes it; `away`: remove its pin. Raises Refused where that is so already."""
    layout, command = project.layout, "backup unpin" if away else "backup pin"

    def decide() -> Plan:
        snapshot = observed.find(layout, observed.list_snapshots(layout), word)
        if snapshot.pinned is not away:
            raise Refused(
                tr("{id} is already pinned", id=snapshot.id)
                if snapshot.pinned
                else tr("{id} is not pinned", id=snapshot.id)
            )
        step = PinSnapshot(snapshot.id, pinned=not away)
        return Plan(command, step.describe(), (step,))

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del watch
        [step] = [step for step in plan.steps if isinstance(step, PinSnapshot)]
        if away:
            pins.unpin(layout, step.id)
            headline = tr("{id} is no longer pinned: backup prune may remove it", id=step.id)
        else:
            pins.pin(layout, step.id, pin_text(request))
            headline = tr("{id} is pinned: backup prune never removes it", id=step.id)
        return Result(command, Exit.DONE, headline, data=PinData(step.id, pinned=not away))

    return perform(project, Action(command, decide, act), request)


def pin_text(request: Request) -> str:
    """Return the content of a pin: who pinned the snapshot, when and why."""
    why = f": {request.reason}" if request.reason else ""
    return f"pinned by {locks.operator()} at {now().isoformat(timespec='seconds')}{why}\n"


def summarize(snapshot: Snapshot) -> SnapshotSummary:
    """Return what JSON shows of a snapshot."""
    return SnapshotSummary(
        id=snapshot.id,
        created=snapshot.created,
        label=snapshot.label,
        reason=snapshot.reason,
        verified_good=snapshot.verified,
        pinned=snapshot.pinned,
        operation=snapshot.operation,
        commit=snapshot.commit,
        bytes=snapshot.size,
        files=tuple(FileCopy(file.path, file.sha256, file.size, file.zip) for file in snapshot.files),
    )
