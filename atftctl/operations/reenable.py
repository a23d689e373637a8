"""`reenable`: turn improvements on again, one phase at a time."""

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
from atftctl.protocol.messages import tr


def phase(project: Project, number: int, plan_name: str, policy: RestartPolicy, request: Request) -> Result:
    """Turn the improvements of one phase on. `plan_name`: a plan of the runbook; "" for its default. Raises UsageError
    for an unknown plan, and as `carry_out`."""
    name = plan_name or project.runbook.reenable_plan
    if name not in project.runbook.plans:
        raise UsageError(tr("unknown plan {name!r}", name=name), hint=nearest(name, project.runbook.plans))
    change = Change(
        lambda facts: by_settings.reenable(project.runbook, facts, number, name, policy, project.language),
    )
    return carry_out(project, change, request)
