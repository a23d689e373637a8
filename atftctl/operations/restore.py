"""`restore` and `undo`: files come back from a snapshot. Both work with a broken runbook."""

from __future__ import annotations

from atftctl.decide import routes
from atftctl.decide.assemble import Wish
from atftctl.domain.result import Result
from atftctl.observe import history, snapshots
from atftctl.operations.change import Request, carry_out
from atftctl.operations.project import Project, observe


def restore(project: Project, word: str, paths: tuple[str, ...], wish: Wish, request: Request) -> Result:
    snapshot = snapshots.find(snapshots.list_snapshots(project.layout), word)
    return carry_out(
        project,
        lambda: observe(project, snapshot.digests()),
        lambda facts: routes.restore(project.runbook, facts, snapshot, paths, wish),
        request,
    )


def undo(project: Project, word: str, wish: Wish, request: Request) -> Result:
    entry = history.find(history.read(project.layout), word)
    paths = [str(file["path"]) for file in entry["files"]]
    return carry_out(
        project,
        lambda: observe(project, paths),
        lambda facts: routes.undo(project.runbook, facts, entry, wish),
        request,
    )
