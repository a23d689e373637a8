"""`backup prune` and `backup rm`: remove snapshots for good. Both show which snapshots and why, and ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from atftctl.apply.snapshots import remove as removal
from atftctl.decide.retention import reasons
from atftctl.domain.errors import InterventionNeeded, Refused
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.snapshot_steps import RemoveSnapshot
from atftctl.domain.text import size_text
from atftctl.host.errors import reason_and_place
from atftctl.host.files.fingerprint import allocated, inode_key
from atftctl.host.process.interrupts import deferred
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr, trn
from atftctl.state import checked_copies, history
from atftctl.state.layout import Layout

Kept = Mapping[str, Sequence[str]]  # why a snapshot is kept, by its id


@record
class PruneData(Data):
    """Data of `backup prune`; its dry run has `kept`, too.

    removed: the snapshots that were removed. kept: the snapshots that the retention keeps, with the reasons.
    """

    removed: tuple[str, ...] = ()
    kept: Kept = field(default_factory=dict)


@record
class BackupRemoveData(Data):
    """Data of `backup rm`.

    removed: the snapshots that were removed.
    """

    removed: tuple[str, ...] = ()


def prune(project: Project, request: Request) -> Result:
    """Remove the snapshots that the runbook's `backups.keep` does not keep."""
    layout = project.layout
    kept: dict[str, list[str]] = {}

    def decide() -> Plan:
        snapshots, known = observed.list_snapshots(layout), checked_copies.checked(layout)
        damaged = [snapshot.id for snapshot in snapshots if observed.known_damage(layout, snapshot, known)]
        kept.clear()
        kept.update(reasons(snapshots, project.runbook.backups.keep, _needed(layout), damaged))
        going = [snapshot for snapshot in snapshots if not kept[snapshot.id]]
        title = trn(
            "remove {going} of {count} snapshot, keep {staying}",
            "remove {going} of {count} snapshots, keep {staying}",
            len(snapshots),
            going=len(going),
            staying=len(snapshots) - len(going),
        )
        return _plan(layout, "backup prune", title, going, snapshots)

    def staying() -> Kept:
        return {snapshot: why for snapshot, why in kept.items() if why}

    if not decide().steps:
        if removal.half_removed(layout) and not request.dry_run:
            with locked(project, "backup prune", request):
                pass  # recovery, which comes with the lock, ends a removal that a crash interrupted
        return Result("backup prune", Exit.DONE, _nothing(kept), data=PruneData(kept=staying()))
    act = _removal(project, request, lambda removed: PruneData(removed, staying()))
    action = Action("backup prune", decide, act, details=lambda: {"kept": staying()}, identity=_ids, waits=True)
    return perform(project, action, request, ask=True)


def _nothing(kept: Kept) -> Message:
    return trn(
        "no snapshot is removed: the retention keeps {count} snapshot",
        "no snapshot is removed: the retention keeps all {count} snapshots",
        len(kept),
    )


def remove(project: Project, names: Sequence[str], request: Request) -> Result:
    """Remove these snapshots; a damaged one also by its folder's name. Raises Refused for a pinned one, Refused or
    UsageError for a name of no snapshot."""
    layout = project.layout

    def decide() -> Plan:
        snapshots, broken = observed.scan(layout)
        damaged = {name: observed.damaged_one(layout, name, why) for name, why in broken.items()}
        chosen = [damaged[name] if name in damaged else observed.find(layout, snapshots, name) for name in names]
        going = list({snapshot.id: snapshot for snapshot in chosen}.values())
        for snapshot in going:
            if snapshot.pinned:
                raise Refused(
                    tr("{id} is pinned", id=snapshot.id),
                    hint=tr("run atftctl backup unpin {id}, then this command again", id=snapshot.id),
                )
        ids = {snapshot.id for snapshot in going}
        good = [snapshot.id for snapshot in snapshots if snapshot.verified]
        notes = []
        if good and set(good) <= ids:
            notes.append(tr("no verified-good snapshot is left after this"))
        if _needed(layout) & ids:
            notes.append(tr("the last operation can't be undone after this"))
        title = trn("remove {count} snapshot", "remove {count} snapshots", len(going))
        return _plan(layout, "backup rm", title, going, snapshots, tuple(notes))

    act = _removal(project, request, BackupRemoveData)
    return perform(project, Action("backup rm", decide, act, identity=_ids, waits=True), request, ask=True)


def _needed(layout: Layout) -> set[str]:
    """Return the snapshot that an undo of the last operation needs; empty where there is none."""
    changed = [entry for entry in history.read(layout) if entry.get("files")]
    return {str(changed[-1].get("snapshot", ""))} if changed else set()


def _plan(
    layout: Layout,
    command: str,
    title: str,
    going: Sequence[Snapshot],
    snapshots: Sequence[Snapshot],
    notes: tuple[str, ...] = (),
) -> Plan:
    sizes = _freed(layout, going, snapshots)
    steps = tuple(
        RemoveSnapshot(snapshot.id, snapshot.label or snapshot.reason, sizes[snapshot.id]) for snapshot in going
    )
    title = tr("{title}; frees {size} of disk space", title=title, size=size_text(sum(sizes.values())))
    return Plan(command, title, steps, notes=(*notes, tr("this can't be undone")))


def _freed(layout: Layout, going: Sequence[Snapshot], snapshots: Sequence[Snapshot]) -> dict[str, int]:
    """Return the bytes on disk that each removal frees.

    A copy that a staying snapshot shares frees nothing; one that several removed snapshots share counts once.
    """
    names = {snapshot.id for snapshot in going}
    staying = [snapshot for snapshot in snapshots if snapshot.id not in names]
    counted = {_copy(layout, snapshot, file.path) for snapshot in staying for file in snapshot.files}
    freed = {}
    for snapshot in going:
        copies = {_copy(layout, snapshot, file.path) for file in snapshot.files} - counted
        counted |= copies
        freed[snapshot.id] = sum(size for _, size in copies)
    return freed


def _copy(layout: Layout, snapshot: Snapshot, path: str) -> tuple[str, int]:
    """Return which file on disk a copy is, and its bytes there."""
    try:
        facts = os.lstat(layout.snapshot(snapshot.id) / path)
    except OSError:
        return "", 0
    return inode_key(facts), allocated(facts)


def _removal(
    project: Project, request: Request, data: Callable[[tuple[str, ...]], Data]
) -> Callable[[Plan, Stopwatch], Result]:
    """Return what carries a plan out. `data`: makes the result's data from the ids that were removed."""

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del watch
        with deferred() as held:
            lines = _take_away(project.layout, plan, request.reason)
        headline = tr("{command}: {title}", command=plan.command, title=plan.title)
        if held.interrupted:
            headline = tr("{headline}; completed although it was interrupted", headline=headline)
        return Result(
            plan.command,
            Exit.INTERRUPTED if held.interrupted else Exit.DONE,
            headline,
            lines=tuple(lines),
            data=data(tuple(_ids(plan))),
        )

    return act


def _take_away(layout: Layout, plan: Plan, reason: str) -> list[str]:
    """Hide the snapshots, write the history, then remove the bytes. Returns a line for bytes that could not be removed.

    Raises InterventionNeeded where only some snapshots were removed; OSError where none was.
    """
    entry = history.new_entry(plan.command, plan.title, reason, now())
    gone: list[str] = []
    try:
        removal.hide(layout, _ids(plan), gone)
        ended = {"removed": gone, "ended": now().isoformat(timespec="seconds")}
        history.append_freeing(
            layout,
            {**entry, **ended, "outcome": "done", "exit_code": int(Exit.DONE)},
            lambda: removal.sweep(layout),
        )
    except OSError as error:
        if not gone:
            raise
        remaining = [name for name in _ids(plan) if name not in gone]
        raise InterventionNeeded(
            tr("the removal was interrupted: {why}", why=reason_and_place(error)),
            state=joined(
                "; ",
                [
                    tr("removed: {snapshots}", snapshots=", ".join(gone)),
                    *([tr("not removed: {snapshots}", snapshots=", ".join(remaining))] if remaining else []),
                ],
            ),
            hint=tr("remove the cause, then run: atftctl recover"),
        ) from None
    return removal.sweep(layout)


def _ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps if isinstance(step, RemoveSnapshot)]
