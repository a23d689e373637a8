"""Free space, looked at before a trainer is stopped for files that then find no room."""

from __future__ import annotations

from atftctl.apply.copies import room_needed
from atftctl.apply.space import RESERVE
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.words import size_words
from atftctl.host.files import free_bytes, size_of
from atftctl.observe import snapshots
from atftctl.operations.project import Project
from atftctl.operations.render import copy_of


def refuse_no_room(project: Project, plan: Plan) -> None:
    """For restored files: the staged copy of each, and a safety copy of what it replaces. Settings are small, and have
    the reserve."""
    layout = project.layout
    restored = [target for target in plan.targets if target.snapshot]
    staged = sum(size_of(copy_of(layout, target)) for target in restored)
    if staged < RESERVE // 2:
        return
    known = snapshots.list_snapshots(layout)
    reliance = snapshots.reliance(layout, known, project.runbook.backups.recheck_days * 86_400)
    wanted = staged + sum(room_needed(layout, reliance, [target.path for target in restored]).values()) + RESERVE
    free = free_bytes(layout.root)
    if wanted > free:
        raise Refused(
            f"no room: {size_words(wanted)} are needed (new files, copies of the old ones, the reserve), "
            f"{size_words(free)} are free",
            then="atftctl backup prune shows what can go; restore single files by their path",
        )
