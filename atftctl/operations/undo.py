"""`undo`: take an operation back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from atftctl.decide.plans import by_snapshot
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.commits import CodeMove
from atftctl.domain.result import Result
from atftctl.host.errors import HostError, reason
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, open_operation
from atftctl.operations.request import Request
from atftctl.state import history


def undo(project: Project, word: str, wish: RestartPolicy, request: Request) -> Result:
    if not request.dry_run and open_operation(project.layout):
        with locked(project, "undo", request):
            pass  # what a crash left open comes first, and has a line in the history then
    entry = history.find(history.read(project.layout), word)
    back = None
    if entry.get("git"):
        from atftctl.operations.change import branch_check  # git is nothing that other undos have time for

        back = branch_check.back(project, entry, request)

    def check() -> None:
        if back:
            branch_check.stands_still(project, CodeMove.from_json(entry["git"]), str(entry["operation"]))

    change = Change(
        lambda facts: by_snapshot.undo(project.runbook, facts, entry, wish, back),
        digests_of=tuple(str(file["path"]) for file in entry["files"]),
        check=check,
    )
    done = carry_out(project, change, request)
    return _without_quarantine(project, entry, done) if not request.dry_run else done


def _without_quarantine(project: Project, entry: Mapping[str, Any], done: Result) -> Result:
    """The config that an undo brings back is no longer quarantined by the rollback that it takes back; one that another
    rollback quarantined before is."""
    from atftctl.observe.configs import digest, read_configs
    from atftctl.state import quarantine

    layout, operation = project.layout, str(entry["operation"])
    stands = digest(read_configs(layout.root, project.runbook.files.configs))
    if not quarantine.made_by(layout, stands, operation):
        return done
    try:
        quarantine.lift(layout, stands, f"undone: {operation}", now())
    except (OSError, HostError) as error:
        line = f"the config stays quarantined ({reason(error)}): atftctl guard --override REASON -- COMMAND"
    else:
        line = f"the config that stands again is no longer quarantined by {operation}"
    return replace(done, lines=(*done.lines, line))
