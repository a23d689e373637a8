"""`undo`: put the files back as they were before an operation."""

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
from atftctl.operations.change.project_lock import recover_first
from atftctl.operations.project import Project, now, open_operation
from atftctl.operations.request import Request
from atftctl.protocol.messages import tr
from atftctl.state import history


def undo(project: Project, operation: str, policy: RestartPolicy, request: Request) -> Result:
    """Undo an operation. `operation`: its id or how it begins; "" for the last one. Raises as `carry_out`."""
    if not request.dry_run and open_operation(project.layout):
        recover_first(project, "undo", request)  # an interrupted operation gets its entry in the history
    entry = history.find(history.read(project.layout), operation)
    move = None
    if entry.get("git"):
        from atftctl.operations.change import branch_check  # imported late: other undos do not need git

        move = branch_check.move_back(project, entry, request)

    def check() -> None:
        if move:
            branch_check.require_unmoved(project, CodeMove.from_json(entry["git"]), str(entry["operation"]))

    change = Change(
        lambda facts: by_snapshot.undo(project.runbook, facts, entry, policy, move),
        digests_of=tuple(str(file["path"]) for file in entry["files"]),
        check=check,
    )
    result = carry_out(project, change, request)
    return result if request.dry_run else _release(project, entry, result)


def _release(project: Project, entry: Mapping[str, Any], result: Result) -> Result:
    """Release the restored config from the quarantine of the operation that was undone; not from that of another
    rollback."""
    from atftctl.observe.configs import digest, read_configs
    from atftctl.state import quarantine

    layout, operation = project.layout, str(entry["operation"])
    config = digest(read_configs(layout.root, project.runbook.files.configs))
    if not quarantine.made_by(layout, config, operation):
        return result
    try:
        quarantine.lift(layout, config, f"undone: {operation}", now())
    except (OSError, HostError) as error:
        line = tr(
            "the restored config is still quarantined ({reason}): atftctl guard --override REASON -- COMMAND",
            reason=reason(error),
        )
    else:
        line = tr("the restored config is no longer quarantined by {operation}", operation=operation)
    return replace(result, lines=(*result.lines, line))
