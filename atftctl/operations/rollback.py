"""`rollback`: the guide's five-minute way, and the way by symptom."""

from __future__ import annotations

from atftctl.decide import routes
from atftctl.decide.assemble import Wish
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.observe.runbook import find_symptom
from atftctl.operations.change import Request, carry_out
from atftctl.operations.project import Project, observe


def by_symptom(project: Project, word: str, wish: Wish, request: Request) -> Result:
    name, _ = find_symptom(project.runbook, word)

    def decide(facts: Facts) -> Plan:
        return routes.rollback_symptom(project.runbook, facts, name, wish, project.language)

    return carry_out(project, lambda: observe(project), decide, request)


def immediate(project: Project, wish: Wish, request: Request) -> Result:
    return carry_out(
        project,
        lambda: observe(project),
        lambda facts: routes.rollback_immediate(project.runbook, facts, wish),
        request,
    )
