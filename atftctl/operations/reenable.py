"""`reenable`: the improvements come back, one phase at a time."""

from __future__ import annotations

from atftctl.decide.plans import by_settings
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import UsageError
from atftctl.domain.result import Result
from atftctl.domain.text import nearest
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Change
from atftctl.operations.project import Project
from atftctl.operations.request import Request


def phase(project: Project, number: int, plan_name: str, wish: RestartPolicy, request: Request) -> Result:
    name = plan_name or project.runbook.reenable_plan
    if name not in project.runbook.plans:
        raise UsageError(f"no plan {name!r}", hint=nearest(name, project.runbook.plans))
    change = Change(
        lambda facts: by_settings.reenable(project.runbook, facts, number, name, wish, project.language),
    )
    return carry_out(project, change, request)
