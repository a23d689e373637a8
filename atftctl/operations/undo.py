"""`undo`: put the files back as they were before an operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from atftctl.decide.plans import by_snapshot
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.whole_units import units_before
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.units import Unit
from atftctl.host.errors import HostError, reason
from atftctl.observe.snapshots import catalog
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import recover_first
from atftctl.operations.change.snapshot_inputs import present_in
from atftctl.operations.project import Project, now, open_operation
from atftctl.operations.request import Request
from atftctl.protocol.messages import tr
from atftctl.state import history


def undo(project: Project, operation: str, policy: RestartPolicy, request: Request, *, expired: bool = False) -> Result:
    """Undo an operation. `operation`: its id or how it begins; "" for the last one. `expired`: it was not confirmed in
    time. Raises as `carry_out`."""
    if not request.dry_run and open_operation(project.layout):
        recover_first(project, "undo", request)  # an interrupted operation gets its entry in the history
    entry = history.find(history.read(project.layout), operation)
    if not operation:
        _refuse_expired(entry)
    move = None
    if entry.get("git"):
        from atftctl.operations.change import branch_check  # imported late: other undos do not need git

        move = branch_check.move_back(project, entry, request)

    def check() -> None:
        if move:
            branch_check.require_unmoved(project, CodeMove.from_json(entry["git"]), str(entry["operation"]))

    units = _units_of(project, entry)

    def decide(facts: Facts) -> Plan:
        plan = by_snapshot.undo(
            project.runbook,
            facts,
            entry,
            policy,
            move,
            expired=expired,
            units=units,
            present=present_in(project, units),
        )
        return replace(plan, facts={**plan.facts, "expired": request.reason}) if expired else plan

    paths = tuple(str(file["path"]) for file in entry["files"])
    change = Change(decide, digests_of=paths, check=check, undoes=str(entry["operation"]))
    result = carry_out(project, change, request)
    return result if request.dry_run else _release(project, entry, result)


def _units_of(project: Project, entry: Mapping[str, Any]) -> tuple[Unit, ...]:
    """The places that the operation restored whole, as its safety snapshot holds them."""
    if not (names := (entry.get("about") or {}).get("units", ())):
        return ()
    snapshots = catalog.list_snapshots(project.layout)
    taken = next((snapshot for snapshot in snapshots if snapshot.id == entry.get("snapshot")), None)
    return units_before(project.runbook, taken, tuple(map(str, names))) if taken else ()


def _refuse_expired(entry: Mapping[str, Any]) -> None:
    """Raises Refused where the last operation is the undo of an unconfirmed change: whoever means that change finds it
    undone already, and would make it again."""
    about = entry.get("about") or {}
    if entry["command"] == "undo" and about.get("expired"):
        raise Refused(
            tr("{operation} is undone already: {reason}", operation=about.get("undo_of"), reason=about["expired"]),
            hint=tr(
                "to make that change again: atftctl undo {operation}; to undo an earlier one: atftctl undo ID "
                "(list: atftctl history)",
                operation=entry["operation"],
            ),
        )


def _release(project: Project, entry: Mapping[str, Any], result: Result) -> Result:
    """Release the restored config from the quarantine of the operation that was undone; not from that of another
    rollback."""
    from atftctl.observe.configs import digest, read_configs
    from atftctl.state import quarantine

    layout, operation = project.layout, str(entry["operation"])
    config = digest(read_configs(layout.root, project.runbook.files))
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
