"""`backup` and `backup create`: take a snapshot on request."""

from __future__ import annotations

import os

from atftctl.apply.snapshots import take as snapshots
from atftctl.apply.snapshots.copier import room_needed
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.result import Result
from atftctl.domain.runbook import Kind
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.snapshot_steps import CopyFiles
from atftctl.domain.text import listed, size_text
from atftctl.host.errors import OutsideProjectError, reason
from atftctl.observe.configs import read_configs
from atftctl.observe.snapshots import catalog as observed
from atftctl.observe.snapshots.sources import Sources, sources
from atftctl.operations.backup.catalog import SnapshotSummary, pin_text, summarize
from atftctl.operations.change import free_space
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.snapshot_inputs import snapshot_spec
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request, Stopwatch
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr, trn

RESERVED = ("latest", "last-good", "now")


@record
class BackupData(SnapshotSummary):
    """Data of `backup` and `backup create`.

    linked: how many of its files share their disk space with an earlier snapshot.
    """

    linked: int = 0


def create(project: Project, label: str, only: Kind, request: Request, *, pin: bool = False) -> Result:
    """Take a snapshot. `only`: configs, models, or all.

    Raises Refused where a file can't be read or the label is taken.
    """

    files = Sources(())
    needed: dict[str, int] = {}

    def decide() -> Plan:
        nonlocal files, needed
        files = _sources(project, only)
        _check_label(project, label)
        spec = _spec(project, files)
        needed = room_needed(project.layout, spec.reliance, spec.paths)
        step = CopyFiles(tuple(files.paths), sum(needed.values()), linked=sum(not size for size in needed.values()))
        left_out = tuple(tr("left out: {path}: {why}", path=path, why=why) for path, why in files.left_out.items())
        return Plan("backup", step.describe(), (step,), notes=left_out)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        del plan  # it was made from these files, under the same lock
        with watch.part("copy"):
            text = pin_text(request) if pin else ""
            spec = _spec(project, files, label=label, reason=request.reason, pin=text)
            free_space.for_snapshot(project.layout, needed)
            request.report.expect(sum(needed.values()))
            snapshot = snapshots.take(
                project.layout, spec, now=now(), note=request.report.note, progress=request.report.progress
            )
        return _taken(project, snapshot, files, watch)

    def details() -> dict[str, object]:
        copied = sum(needed.values())
        return {"files": list(files.paths), "left_out": dict(files.left_out), "bytes_to_copy": copied}

    return perform(project, Action("backup", decide, act, details=details), request)


def _sources(project: Project, only: Kind) -> Sources:
    """Return the files to take. Raises Refused where one can't be read, or none exists."""
    try:
        files = sources(project.layout, project.runbook.files, only, history=project.runbook.checkpoints.history)
    except OSError as error:
        raise Refused(tr("can't read {path}: {why}", path=error.filename, why=reason(error))) from None
    except OutsideProjectError as error:
        raise Refused(str(error)) from None
    if not files.paths:
        names = ", ".join(project.runbook.files.of(only))
        raise Refused(
            tr("there is nothing to back up: none of these files exists: {paths}", paths=names),
            hint=tr("check the section `files` of the runbook, then run: atftctl runbook lint"),
        )
    return files


def _spec(project: Project, files: Sources, **asked: str) -> snapshots.SnapshotSpec:
    known = observed.list_snapshots(project.layout)
    return snapshot_spec(project, known, read_configs(project.layout.root, project.runbook.files), files, **asked)


def _check_label(project: Project, label: str) -> None:
    """Raises Refused for a label that names something else already."""
    hint = tr("choose another label, or leave it out")
    if label in RESERVED:
        raise Refused(
            tr("the label {label!r} is reserved: it has a meaning for atftctl restore", label=label), hint=hint
        )
    if label and any(label in (snapshot.label, snapshot.id) for snapshot in observed.list_snapshots(project.layout)):
        raise Refused(tr("there is already a snapshot named {label!r}", label=label), hint=hint)


def _taken(project: Project, snapshot: Snapshot, files: Sources, watch: Stopwatch) -> Result:
    linked = sum(os.lstat(project.layout.root / snapshot.where(file)).st_nlink > 1 for file in snapshot.files)
    contents = [trn("{count} file", "{count} files", len(snapshot.files)), size_text(snapshot.size)]
    if linked:
        contents.append(
            trn(
                "{count} of them unchanged and shared with an earlier snapshot",
                "{count} of them unchanged and shared with earlier snapshots",
                linked,
            )
        )
    return Result(
        "backup",
        Exit.DONE,
        tr("snapshot {id}: {contents}", id=snapshot.id, contents=joined(", ", contents)),
        lines=tuple(_lines(snapshot, files)),
        data=BackupData(**vars(summarize(snapshot)), linked=linked),
        parts=tuple(watch.parts),
    )


def _lines(snapshot: Snapshot, files: Sources) -> list[Message]:
    """Say where the snapshot is, how to restore it, and which files are not in it."""
    folder = snapshot.folder
    lines = [
        tr("folder: {folder} (pinned)", folder=folder) if snapshot.pinned else tr("folder: {folder}", folder=folder),
        tr("restore: atftctl restore {id}", id=snapshot.id),
    ]
    lines += [
        tr("note: {path} vanished while the snapshot was taken; the snapshot does not contain it", path=path)
        for path in files.paths
        if snapshot.file(path) is None and path not in snapshot.left_out
    ]
    if snapshot.left_out:
        names = listed(sorted(snapshot.left_out), 3)
        lines.append(tr("left out: {paths}; reasons: atftctl backup show {id}", paths=names, id=snapshot.id))
    return lines
