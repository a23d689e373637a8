"""`backup list|show|pin|unpin`."""

from __future__ import annotations

from typing import Any

from atftctl.apply.snapshots import pin as pins
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.snapshot_steps import PinSnapshot
from atftctl.domain.text import counted
from atftctl.host import locks
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import cp_copies as observed_handmade
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import checked_copies


def list_all(project: Project) -> Result:
    layout = project.layout
    found, broken = observed.scan(layout)
    handmade = observed_handmade.find_cp_copies(layout, project.runbook.files)
    known = checked_copies.checked(layout)
    harm = {one.id: why for one in found if (why := observed.known_damage(layout, one, known))}
    words = [counted(len(found), "snapshot")]
    words += [f"{len(broken) + len(harm)} damaged"] if broken or harm else []
    words += [f"{counted(len(handmade), 'copy', 'copies')} made by cp"] if handmade else []
    return Result(
        "backup list",
        Exit.DONE,
        ", ".join(words),
        data={
            "snapshots": [describe(one) | {"damage": harm.get(one.id, "")} for one in found],
            "damaged": broken,
            "made_by_cp": [{**vars(one), "created": one.created} for one in handmade],
        },
    )


def show(project: Project, word: str) -> Result:
    snapshot = observed.find(project.layout, observed.list_snapshots(project.layout), word)
    data = describe(snapshot) | {
        "operator": snapshot.operator,
        "dirty": snapshot.dirty,
        "code_diff": bool(snapshot.code_diff),
        "runbook_sha256": snapshot.runbook_sha256,
        "config_digest": snapshot.config_digest,
        "baseline": dict(snapshot.baseline),
        "passed": vars(snapshot.passed) if snapshot.passed else None,
        "left_out": dict(snapshot.left_out),
        "folder": snapshot.folder,
    }
    return Result("backup show", Exit.DONE, f"snapshot {snapshot.id}", data=data)


def pin(project: Project, word: str, request: Request, *, away: bool) -> Result:
    """Pin a snapshot, so that no prune removes it; `away`: remove its pin. Raises Refused where that is so already."""
    layout, command = project.layout, "backup unpin" if away else "backup pin"

    def decide() -> Plan:
        snapshot = observed.find(layout, observed.list_snapshots(layout), word)
        if snapshot.pinned is not away:
            raise Refused(
                tr("{id} is pinned already", id=snapshot.id)
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
            headline = tr("{id} is no longer pinned", id=step.id)
        else:
            pins.pin(layout, step.id, pin_text(request))
            headline = tr("{id} is pinned: no prune removes it", id=step.id)
        return Result(command, Exit.DONE, headline, data={"id": step.id, "pinned": not away})

    return perform(project, Action(command, decide, act), request)


def pin_text(request: Request) -> str:
    why = f": {request.reason}" if request.reason else ""
    return f"pinned by {locks.operator()} at {now().isoformat(timespec='seconds')}{why}\n"


def describe(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "created": snapshot.created,
        "label": snapshot.label,
        "reason": snapshot.reason,
        "verified_good": snapshot.verified,
        "pinned": snapshot.pinned,
        "operation": snapshot.operation,
        "commit": snapshot.commit,
        "bytes": snapshot.size,
        "files": [
            {"path": file.path, "sha256": file.sha256, "size": file.size, "zip": file.zip} for file in snapshot.files
        ],
    }
