"""The remedy for a symptom: the first one; where the same fault has returned, the one after those that were tried."""

from __future__ import annotations

from dataclasses import replace

from atftctl.decide import returning
from atftctl.decide.plans import by_settings
from atftctl.decide.plans.added_settings import Added
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.returning import Attempt
from atftctl.domain.errors import NothingLeft
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.resuming import Resuming
from atftctl.observe.checkpoints.ladder import ladder
from atftctl.observe.trainer_run import process
from atftctl.operations.change.change import Change
from atftctl.operations.checkpoint.choose import Wanted
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback import rungs
from atftctl.state import history


def change_for(
    project: Project, name: str, policy: RestartPolicy, request: Request, back: int, added: Added, *, seen: bool = False
) -> Change:
    """Return the change for a symptom. `back`: checkpoints to go back by the operator's own choice: then no remedy
    counts as tried. `added`: further settings, by key. `seen`: the fault was seen in a trainer that may still run."""
    runbook = project.runbook
    symptom = runbook.symptoms[name]
    wanted = Wanted(symptom.resume, symptom.resume_grade, back)
    trainer = process.observe(project.layout, runbook.trainer)
    step = trainer.step
    returns = seen or trainer.state == "died"  # a second rollback while the trainer runs is no returned fault by itself
    tried = returning.attempts(history.read(project.layout), name, step) if returns and not back else []
    if tried and symptom.again == "checkpoint" and symptom.resume == "snapshot":
        wanted = replace(wanted, tried=frozenset(attempt.checkpoint for attempt in tried))
    elif tried and symptom.again == "checkpoint" and symptom.resume != "scratch":
        before = _before(project, symptom.resume, tried)
        wanted = replace(wanted, before=before, back=0 if before is not None else len(tried))
    notes = (returning.note(tried, step),) if tried else ()

    def decide(facts: Facts, chosen: Resuming | None) -> Plan:
        return by_settings.rollback_symptom(
            runbook, facts, name, policy, project.language, chosen, added=added, returned=notes, tried=len(tried)
        )

    change = rungs.change(project, wanted, policy, request, decide)
    return replace(change, decide=lambda facts: _or_exhausted(project, change, facts, name, tried)) if tried else change


def _before(project: Project, resume: str, tried: list[Attempt]) -> int | None:
    """The step that the next checkpoint must be before: that of the earliest one that was tried."""
    before = returning.earlier_than(tried)
    if before is not None or resume != "best":
        return before
    rules = project.runbook.checkpoints
    everything = ladder(project.layout, rules).all
    return next((checkpoint.step for checkpoint in everything if checkpoint.path == rules.best), None)


def _or_exhausted(project: Project, change: Change, facts: Facts, name: str, tried: list[Attempt]) -> Plan:
    """Return the plan. Raises Refused, with the contacts, where nothing is left to try: a plan that only starts the
    trainer again would be the same remedy once more."""
    try:
        plan = change.decide(facts)
    except NothingLeft as error:
        refusal = returning.exhausted(name, tried, project.contacts)
        refusal.state = error.message
        raise refusal from None
    if not plan.targets:
        raise returning.exhausted(name, tried, project.contacts)
    return plan
