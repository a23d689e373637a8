"""Check free disk space before anything starts: before the trainer is stopped for files that have no room."""

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
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout
from atftctl.state.reserve import RESERVE


def for_snapshot(layout: Layout, needed: Mapping[str, int]) -> None:
    """Raises Refused where there is no room for the copies and the reserve. `needed`: bytes by path."""
    folder = layout.backups if _on_own_file_system(layout) else layout.root
    hint = tr("see what can be removed: atftctl backup prune --dry-run; --only configs needs little space")
    _require(folder, sum(needed.values()), tr("copies and the reserve"), hint)


def for_restore(project: Project, plan: Plan, snapshots: tuple[Snapshot, ...]) -> None:
    """Raises Refused where there is no room for the staged copy of each restored file, and for the safety copy of each
    file that is replaced or removed. Edited settings are small; the reserve is enough for them."""
    layout = project.layout
    restored = [target for target in plan.targets if target.snapshot]
    staged = sum(size_of(copy_of(layout, target)) for target in restored)
    replaced = [target.path for target in plan.targets if target.snapshot or target.removes]
    if staged < RESERVE // 2 and len(replaced) == len(restored):
        return
    policy = reliance(layout, snapshots, project.runbook.backups.recheck_s)
    safety_copies = sum(room_needed(layout, policy, replaced).values())
    hint = tr("see what can be removed: atftctl backup prune --dry-run; single files can be restored by their path")
    if _on_own_file_system(layout):
        _require(layout.root, staged, tr("new files and the reserve"), hint)
        _require(layout.backups, safety_copies, tr("copies of the files that are replaced"), hint)
    else:
        _require(layout.root, staged + safety_copies, tr("new files, copies of the old ones and the reserve"), hint)


def _on_own_file_system(layout: Layout) -> bool:
    """Are the snapshots on another file system than the project?"""
    return layout.backups.is_dir() and layout.backups.stat().st_dev != layout.root.stat().st_dev


def _require(folder: Path, wanted: int, purpose: str, hint: str) -> None:
    """Raises Refused where the folder's file system has less free space than `wanted` bytes and the reserve."""
    free, wanted = free_bytes(folder), wanted + RESERVE
    if wanted > free:
        raise Refused(
            tr(
                "not enough disk space: {needed} needed ({purpose}), {free} free",
                needed=size_text(wanted),
                purpose=purpose,
                free=size_text(free),
            ),
            hint=hint,
        )
