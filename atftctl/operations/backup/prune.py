"""`backup prune` and `backup rm`: snapshots go, and do not come back. Both show what goes and why, and ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from atftctl.apply.snapshots import remove as removal
from atftctl.decide.retention import reasons
from atftctl.domain.errors import InterventionNeeded, Refused
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.steps import RemoveSnapshot
from atftctl.domain.text import size_text
from atftctl.host.errors import reason_and_place
from atftctl.host.files.fingerprint import allocated, inode_key
from atftctl.host.process.interrupts import deferred
from atftctl.observe.snapshots import catalog as observed
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, dry_run
from atftctl.protocol import Exit
from atftctl.state import checked_copies, history
from atftctl.state.layout import Layout

FINAL = "this can't be undone"


def prune(project: Project, request: Request) -> Result:
    """What the runbook's `backups.keep` does not keep goes."""
    layout = project.layout

    def decide() -> tuple[Plan | None, dict[str, list[str]]]:
        found, known = observed.list_snapshots(layout), checked_copies.checked(layout)
        damaged = [one.id for one in found if observed.known_damage(layout, one, known)]
        kept = reasons(found, project.runbook.backups.keep, _needed(layout), damaged)
        going = [one for one in found if not kept[one.id]]
        title = f"{len(going)} of {len(found)} snapshots go, {len(found) - len(going)} stay"
        return (_plan(layout, "backup prune", title, going, found) if going else None), kept

    plan, kept = decide()
    if plan is None:
        if removal.half_removed(layout) and not request.dry_run:
            with locked(project, "backup prune", request):  # which ends what a crash left
                pass
        return Result(
            "backup prune", Exit.DONE, f"nothing goes: all {len(kept)} snapshots are kept", data={"kept": kept}
        )
    return _remove(project, plan, lambda: decide()[0], request, {"kept": {k: why for k, why in kept.items() if why}})


def remove(project: Project, words: Sequence[str], request: Request) -> Result:
    """These snapshots go, damaged ones by their folder's name too. Raises Refused for a pinned one."""
    layout = project.layout

    def decide() -> Plan:
        found, broken = observed.scan(layout)
        wrong = {name: observed.damaged_one(layout, name, why) for name, why in broken.items()}
        chosen = [wrong[word] if word in wrong else observed.find(layout, found, word) for word in words]
        going = list({one.id: one for one in chosen}.values())
        for one in going:
            if one.pinned:
                raise Refused(f"{one.id} is pinned", hint=f"atftctl backup unpin {one.id}, then this again")
        good = [one.id for one in found if one.verified]
        notes = []
        if good and set(good) <= {one.id for one in going}:
            notes.append("no verified-good snapshot is left then")
        undone = _needed(layout) & {one.id for one in going}
        if undone:
            notes.append("the last operation can't be undone then")
        title = f"{len(going)} snapshot{'s' * (len(going) > 1)} go{'es' * (len(going) == 1)}"
        return _plan(layout, "backup rm", title, going, found, tuple(notes))

    return _remove(project, decide(), decide, request, {})


def _needed(layout: Layout) -> set[str]:
    """What the newest undo would need."""
    changed = [entry for entry in history.read(layout) if entry.get("files")]
    return {str(changed[-1].get("snapshot", ""))} if changed else set()


def _plan(
    layout: Layout,
    command: str,
    title: str,
    going: Sequence[Snapshot],
    found: Sequence[Snapshot],
    notes: tuple[str, ...] = (),
) -> Plan:
    sizes = _freed(layout, going, found)
    steps = tuple(RemoveSnapshot(one.id, one.label or one.reason, sizes[one.id]) for one in going)
    title = f"{title}, {size_text(sum(sizes.values()))} become free"
    return Plan(command, title, steps, notes=(*notes, FINAL))


def _freed(layout: Layout, going: Sequence[Snapshot], found: Sequence[Snapshot]) -> dict[str, int]:
    """Bytes on disk by snapshot: a copy that a staying one shares frees nothing, one that several share counts once."""
    names = {one.id for one in going}
    counted = {_copy(layout, one, file.path) for one in found if one.id not in names for file in one.files}
    freed = {}
    for one in going:
        copies = {_copy(layout, one, file.path) for file in one.files} - counted
        counted |= copies
        freed[one.id] = sum(size for _, size in copies)
    return freed


def _copy(layout: Layout, snapshot: Snapshot, path: str) -> tuple[str, int]:
    """Which file on disk, and its bytes there."""
    try:
        facts = os.lstat(layout.snapshot(snapshot.id) / path)
    except OSError:
        return "", 0
    return inode_key(facts), allocated(facts)


def _remove(
    project: Project, plan: Plan, again: Callable[[], Plan | None], request: Request, data: dict[str, Any]
) -> Result:
    layout = project.layout
    if request.dry_run:
        return dry_run(plan, **data)
    if not request.confirm(plan, ()):
        raise Refused("not done: you said no")
    with locked(project, plan.command, request), deferred() as held:
        found = again()
        if found is None or _ids(found) != _ids(plan):
            raise Refused(
                "the snapshots changed after the plan was shown", hint="run it again and look at the new plan"
            )
        left = _take_away(layout, plan, request.reason)
    return Result(
        plan.command,
        Exit.INTERRUPTED if held.came else Exit.DONE,
        f"{plan.command}: {plan.title}{'; completed, though interrupted' if held.came else ''}",
        lines=tuple(left),
        data={"removed": _ids(plan), **data},
    )


def _take_away(layout: Layout, plan: Plan, reason: str) -> list[str]:
    """Hide the snapshots, write the history, then remove the bytes; returns a line for bytes that could not be removed.

    Raises InterventionNeeded, which names the snapshots that are gone by then; OSError where none is.
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
        stand = [name for name in _ids(plan) if name not in gone]
        raise InterventionNeeded(
            f"stopped in the middle: {reason_and_place(error)}",
            state=f"gone: {', '.join(gone)}; still there: {', '.join(stand) or 'none that was to go'}",
            hint="remove the cause, then: atftctl recover",
        ) from None
    return removal.sweep(layout)


def _ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps if isinstance(step, RemoveSnapshot)]
