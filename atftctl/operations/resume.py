"""`resume`: continue what was interrupted: an operation, a staged rollback, or the phases of `reenable`."""

from __future__ import annotations

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.result import Result
from atftctl.operations.change.project_lock import recover_first
from atftctl.operations.project import Project, open_operation
from atftctl.operations.reenable import control, go_on
from atftctl.operations.request import Request
from atftctl.operations.rollback import staged
from atftctl.state import reenable as phases
from atftctl.state import staged as staged_state


def resume(project: Project, operation: str, policy: RestartPolicy, request: Request, *, drop: bool) -> Result:
    """Continue what was interrupted. `operation`: the one to resume, by its id or how it begins; "" for whatever is
    open. `drop`: give the staged rollback, or the phases, up; all files stay as they are.

    Raises Refused where nothing was interrupted, and while another process is at it.
    """
    layout = project.layout
    if staged_state.read(layout) or not _phases_open(project, operation, drop=drop):
        return staged.resume(project, operation, policy, request, drop=drop)
    if drop:
        return control.drop(project, request)
    if not request.dry_run and open_operation(layout):
        recover_first(project, "resume", request)
    return go_on.resume(project, policy, request)


def _phases_open(project: Project, operation: str, *, drop: bool) -> bool:
    """Is there anything of the phases to resume, or to drop?"""
    state, halt = phases.read(project.layout), phases.read_halt(project.layout)
    opened = state.open if state else None
    if operation:
        return bool(opened and opened.operation.startswith(operation))
    return bool(halt or opened or (drop and state))
