"""`backup create|list|show|pin|unpin`: snapshots taken on request, and looked at."""

from __future__ import annotations

import os

from atftctl.apply.snapshots import take as snapshots
from atftctl.apply.snapshots.copier import room_needed
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.runbook import Kind
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.snapshot_steps import CopyFiles
from atftctl.domain.text import counted, listed, size_text
from atftctl.host.errors import OutsideProjectError, reason
from atftctl.observe.configs import read_configs
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots.sources import Sources, sources
from atftctl.operations.backup.catalog import describe, pin_text
from atftctl.operations.change import free_space
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.snapshot_inputs import taking
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

RESERVED = ("latest", "last-good", "now")


def create(project: Project, label: str, only: Kind, request: Request, *, pin: bool = False) -> Result:
    """Take a snapshot on request. Raises Refused where a file can't be read, or the label is taken."""

    def decide() -> Plan:
        files = _sources(project, only)
        _check_label(project, label)
        spec = _spec(project, files)
        needed = room_needed(project.layout, spec.reliance, spec.paths)
        linked = sum(not size for size in needed.values())
        step = CopyFiles(tuple(files.paths), sum(needed.values()), linked)
        left_out = tuple(tr("left out: {path}: {why}", path=path, why=why) for path, why in files.left_out.items())
        return Plan("backup", step.describe(), (step,), notes=left_out)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del plan  # the sizes are taken again with the files themselves
        with watch.part("copy"):
            files = _sources(project, only)
            text = pin_text(request) if pin else ""
            spec = _spec(project, files, label=label, reason=request.reason, pin=text)
            needed = room_needed(project.layout, spec.reliance, spec.paths)
            free_space.for_snapshot(project.layout, needed)
            request.report.expect(sum(needed.values()))
            snapshot = snapshots.take(
                project.layout, spec, now=now(), note=request.report.note, progress=request.report.progress
            )
        return _taken(project, snapshot, files, watch)

    return perform(project, Action("backup", decide, act), request)


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


def _spec(project: Project, found: Sources, **asked: str) -> snapshots.SnapshotSpec:
    known = observed.list_snapshots(project.layout)
    return taking(project, known, read_configs(project.layout.root, project.runbook.files.configs), found, **asked)


def _check_label(project: Project, label: str) -> None:
    if label in RESERVED:
        raise Refused(f"{label!r} is a word of restore", hint="another label, or none")
    if label and any(label in (one.label, one.id) for one in observed.list_snapshots(project.layout)):
        raise Refused(f"a snapshot {label!r} is there already", hint="another label, or none")


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
        f"snapshot {snapshot.id}: {counted(len(snapshot.files), 'file')}, {size_text(snapshot.size)}{shared}",
        lines=tuple(lines),
        data={**describe(snapshot), "linked": linked},
        parts=tuple(watch.parts),
    )
