"""Free space, looked at before anything starts: before a trainer is stopped for files that then find no room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from atftctl.apply.snapshots.copier import room_needed
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.text import size_text
from atftctl.host.files.reading import free_bytes, size_of
from atftctl.observe.snapshots.catalog import reliance
from atftctl.operations.change.preview import copy_of
from atftctl.operations.project import Project
from atftctl.state.layout import Layout
from atftctl.state.reserve import RESERVE


def for_snapshot(layout: Layout, needed: Mapping[str, int]) -> None:
    """Raises Refused where the copies, and the reserve, find no room."""
    then = "atftctl backup prune shows what can go; --only configs needs little"
    _refuse(layout.backups if _apart(layout) else layout.root, sum(needed.values()), "the reserve included", then)


def _apart(layout: Layout) -> bool:
    """Are the snapshots on a file system of their own?"""
    return layout.backups.is_dir() and layout.backups.stat().st_dev != layout.root.stat().st_dev


def for_restore(project: Project, plan: Plan, known: tuple[Snapshot, ...]) -> None:
    """For restored files: the staged copy of each, and a safety copy of what it replaces. Settings are small, and have
    the reserve."""
    layout = project.layout
    restored = [target for target in plan.targets if target.snapshot]
    staged = sum(size_of(copy_of(layout, target)) for target in restored)
    if staged < RESERVE // 2:
        return
    relying = reliance(layout, known, project.runbook.backups.recheck_s)
    replaced = room_needed(layout, relying, [target.path for target in restored])
    then = "atftctl backup prune shows what can go; restore single files by their path"
    kept = sum(replaced.values())
    if _apart(layout):
        _refuse(layout.root, staged, "new files, the reserve", then)
        _refuse(layout.backups, kept, "copies of what they replace", then)
    else:
        _refuse(layout.root, staged + kept, "new files, copies of the old ones, the reserve", then)


def _refuse(folder: Path, wanted: int, what: str, then: str) -> None:
    free, wanted = free_bytes(folder), wanted + RESERVE
    if wanted > free:
        raise Refused(f"no room: {size_text(wanted)} are needed ({what}), {size_text(free)} are free", hint=then)
