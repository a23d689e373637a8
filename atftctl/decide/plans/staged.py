"""The staged rollback: which stages there are, and what each would still change."""

from __future__ import annotations

from atftctl.decide.plans.setting_changes import changes, settings_of
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.runbook import Runbook
from atftctl.domain.steps import RunStage


def staged(runbook: Runbook, facts: Facts, symptom: str, language: str) -> Plan:
    """The stages that change something, in order. Raises Refused where none is left, or no trainer is to be watched."""
    if not facts.process.alive and facts.process.state != "died":
        raise Refused(
            f"a staged rollback watches the trainer, and none runs ({facts.process.state})",
            hint=f"atftctl rollback --symptom {symptom}, or atftctl trainer start first",
        )
    known: dict[str, object] = {}
    steps: list[RunStage] = []
    for number, stage in enumerate(runbook.staged.stages, 1):
        found = changes(runbook, facts.configs, settings_of(runbook, symptom, stage))
        fresh = tuple(one for one in found if known.get(one.feature) != one.new)
        known |= {one.feature: one.new for one in found}
        if fresh:
            steps.append(RunStage(number, stage, fresh, runbook.staged.window_steps))
    if not steps:
        raise Refused(f"nothing is left to roll back for {symptom}: every stage is in place already")
    title = f"{runbook.symptoms[symptom].title.say(language)}, stage after stage until the trainer is healthy"
    return Plan("rollback", title, tuple(steps), target_minutes=runbook.staged.minutes, facts={"symptom": symptom})
