"""`backup create|list|show|pin|unpin`: snapshots taken on request, and looked at."""

from __future__ import annotations

import os
from typing import Any

from atftctl.apply.snapshots import take as snapshots
from atftctl.apply.snapshots.copier import room_needed
from atftctl.domain.errors import Refused
from atftctl.domain.result import Result
from atftctl.domain.runbook import Kind
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.text import counted, listed, size_words
from atftctl.host import locks
from atftctl.host.errors import OutsideProjectError, reason
from atftctl.observe.configs import read_configs
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots import cp_copies as observed_handmade
from atftctl.observe.snapshots.sources import Sources, sources
from atftctl.operations.change import free_space
from atftctl.operations.change.carry_out import locked
from atftctl.operations.change.snapshot_inputs import taking
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit

RESERVED = ("latest", "last-good", "now")


def create(project: Project, label: str, only: Kind, request: Request, *, pin: bool = False) -> Result:
    found = _sources(project, only)
    _check_label(project, label)
    if request.dry_run:
        return _dry_run(project, found)
    watch = Stopwatch(request.report)
    with locked(project, "backup", request), watch.part("copy"):
        found = _sources(project, only)  # recovery may have put files in place
        words = _pin_words(request) if pin else ""
        order = _order(project, found, label=label, reason=request.reason, pin=words)
        needed = room_needed(project.layout, order.reliance, order.paths)
        free_space.for_snapshot(project.layout, needed)
        request.report.expect(sum(needed.values()))
        snapshot = snapshots.take(
            project.layout, order, now=now(), note=request.report.note, progress=request.report.progress
        )
    return _taken(project, snapshot, found, watch)


def _sources(project: Project, only: Kind) -> Sources:
    try:
        found = sources(project.layout, project.runbook.files, only)
    except OSError as error:
        raise Refused(f"{error.filename} can't be read: {reason(error)}") from None
    except OutsideProjectError as error:
        raise Refused(str(error)) from None
    if not found.paths:
        raise Refused(f"none of these is there: {', '.join(project.runbook.files.of(only))}")
    return found


def _order(project: Project, found: Sources, **asked: str) -> snapshots.Taking:
    known = observed.list_snapshots(project.layout)
    return taking(project, known, read_configs(project.layout.root, project.runbook.files.configs), found, **asked)


def _check_label(project: Project, label: str) -> None:
    if label in RESERVED:
        raise Refused(f"{label!r} is a word of restore", then="another label, or none")
    if label and any(label in (one.label, one.id) for one in observed.list_snapshots(project.layout)):
        raise Refused(f"a snapshot {label!r} is there already", then="another label, or none")


def _dry_run(project: Project, found: Sources) -> Result:
    order = _order(project, found)
    needed = room_needed(project.layout, order.reliance, order.paths)
    linked = sum(not size for size in needed.values())
    return Result(
        "backup",
        Exit.DONE,
        f"dry run: would copy {size_words(sum(needed.values()))} and link {linked} unchanged files",
        lines=_names(list(found.paths)),
        data={"files": list(found.paths), "left_out": found.left_out, "bytes_to_copy": sum(needed.values())},
    )


def _taken(project: Project, snapshot: Snapshot, found: Sources, watch: Stopwatch) -> Result:
    linked = sum(os.lstat(project.layout.root / snapshot.where(file)).st_nlink > 1 for file in snapshot.files)
    shared = f", {linked} of them unchanged and shared with the snapshot before" if linked else ""
    lines = [f"{snapshot.folder}{' (pinned)' if snapshot.pinned else ''}", f"restore: atftctl restore {snapshot.id}"]
    gone = [path for path in found.paths if snapshot.file(path) is None and path not in snapshot.left_out]
    lines += [f"note: {path} vanished while the snapshot was taken; it is not in it" for path in gone]
    if snapshot.left_out:
        names = listed(sorted(snapshot.left_out), 3)
        lines.append(f"left out: {names}; atftctl backup show {snapshot.id} says why")
    return Result(
        "backup",
        Exit.DONE,
        f"snapshot {snapshot.id}: {counted(len(snapshot.files), 'file')}, {size_words(snapshot.size)}{shared}",
        lines=tuple(lines),
        data={**_describe(snapshot), "linked": linked},
        parts=tuple(watch.parts),
    )


def list_all(project: Project) -> Result:
    layout = project.layout
    found, broken = observed.scan(layout)
    handmade = observed_handmade.find_handmade(layout, project.runbook.files)
    known = observed.checked(layout)
    harm = {one.id: why for one in found if (why := observed.harm(layout, one, known))}
    words = [counted(len(found), "snapshot")]
    words += [f"{len(broken) + len(harm)} damaged"] if broken or harm else []
    words += [f"{counted(len(handmade), 'copy', 'copies')} made by cp"] if handmade else []
    return Result(
        "backup list",
        Exit.DONE,
        ", ".join(words),
        data={
            "snapshots": [_describe(one) | {"damage": harm.get(one.id, "")} for one in found],
            "damaged": broken,
            "made_by_cp": [{**vars(one), "created": one.created} for one in handmade],
        },
    )


def show(project: Project, word: str) -> Result:
    snapshot = observed.find(project.layout, observed.list_snapshots(project.layout), word)
    data = _describe(snapshot) | {
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
            snapshots.unpin(project.layout, snapshot.id)
        else:
            snapshots.pin(project.layout, snapshot.id, _pin_words(request))
    words = "no longer pinned" if away else "pinned: no prune takes it away"
    return Result(command, Exit.DONE, f"{snapshot.id} is {words}", data={"id": snapshot.id, "pinned": not away})


def _pin_words(request: Request) -> str:
    why = f": {request.reason}" if request.reason else ""
    return f"pinned by {locks.operator()} at {now().isoformat(timespec='seconds')}{why}\n"


def _describe(snapshot: Snapshot) -> dict[str, Any]:
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


def _names(paths: list[str]) -> tuple[str, ...]:
    return (*paths[:8], f"and {len(paths) - 8:,} more") if len(paths) > 8 else tuple(paths)
