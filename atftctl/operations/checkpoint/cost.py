"""Say in every plan that changes the checkpoint what the way back costs."""

from __future__ import annotations

from atftctl.decide.plans.way_back import changes_checkpoint, cost_of
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.observe.checkpoints.ladder import ladder
from atftctl.operations.project import Project


def notes_on(project: Project, plan: Plan, facts: Facts) -> tuple[str, ...]:
    """Return the note; none for a plan that leaves the checkpoint as it is. No checkpoint is read for it: a note must
    not hold up an emergency."""
    if not changes_checkpoint(project.runbook, plan):
        return ()
    checkpoints = ladder(project.layout, project.runbook.checkpoints, hashed=False)
    cost = cost_of(project.runbook, plan, facts, checkpoints)
    return (cost,) if cost else ()
