"""The plan of `rollback --staged`: the stages that are left, and what each of them changes."""

from __future__ import annotations

from atftctl.decide.plans.setting_changes import changes, settings_of
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.runbook import Runbook
from atftctl.domain.steps import RunStage
from atftctl.protocol.messages import tr


def staged(runbook: Runbook, facts: Facts, symptom: str, language: str) -> Plan:
    """Return the plan with the stages that change something, in order.

    Raises Refused where no stage is left, or where no trainer runs that could be watched.
    """
    if not facts.process.alive and facts.process.state != "died":
        raise Refused(
            tr(
                "a staged rollback needs a running trainer to watch, but no trainer is running ({state})",
                state=facts.process.state,
            ),
            hint=tr(
                "start the trainer first: atftctl trainer start; or roll back at once: atftctl "
                "rollback --symptom {symptom}",
                symptom=symptom,
            ),
        )
    known: dict[str, object] = {}
    steps: list[RunStage] = []
    for stage in runbook.staged.stages:
        wanted = changes(runbook, facts.configs, settings_of(runbook, symptom, stage))
        fresh = tuple(change for change in wanted if known.get(change.feature) != change.new)
        known |= {change.feature: change.new for change in wanted}
        if fresh:
            steps.append(RunStage(len(steps) + 1, stage, fresh, runbook.staged.window_steps))
    if not steps:
        raise Refused(
            tr("nothing is left to roll back for {symptom}: all stages are in place already", symptom=symptom)
        )
    title = tr(
        "{symptom}, stage by stage until the trainer is healthy",
        symptom=runbook.symptoms[symptom].title.say(language),
    )
    return Plan("rollback", title, tuple(steps), target_minutes=runbook.staged.minutes, facts={"symptom": symptom})
