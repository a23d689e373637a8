"""`backup list|show|pin|unpin`."""

from __future__ import annotations

from typing import Any

from atftctl.apply.snapshots import pin as pins
from atftctl.domain.errors import Refused
from atftctl.domain.result import Result
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.text import counted
from atftctl.host import locks
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import cp_copies as observed_handmade
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.state import checked_copies


def list_all(project: Project) -> Result:
    layout = project.layout
    found, broken = observed.scan(layout)
    handmade = observed_handmade.find_handmade(layout, project.runbook.files)
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
    """Pinned: no prune takes it. Or no longer."""
    command = "backup unpin" if away else "backup pin"
    snapshot = observed.find(project.layout, observed.list_snapshots(project.layout), word)
    if snapshot.pinned is not away:
        raise Refused(f"{snapshot.id} is {'pinned already' if snapshot.pinned else 'not pinned'}")
    if request.dry_run:
        return Result(command, Exit.DONE, f"dry run: would {'unpin' if away else 'pin'} {snapshot.id}")
    with locked(project, command, request):
        if away:
            pins.unpin(project.layout, snapshot.id)
        else:
            pins.pin(project.layout, snapshot.id, pin_text(request))
    words = "no longer pinned" if away else "pinned: no prune takes it away"
    return Result(command, Exit.DONE, f"{snapshot.id} is {words}", data={"id": snapshot.id, "pinned": not away})


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


def names_of(paths: list[str]) -> tuple[str, ...]:
    return (*paths[:8], f"and {len(paths) - 8:,} more") if len(paths) > 8 else tuple(paths)
