"""Rollbacks that choose a checkpoint: `--back K`, and symptoms that name a grade."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from atftctl.decide.plans import by_checkpoint
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.resuming import Resuming
from atftctl.operations.change.change import Change
from atftctl.operations.checkpoint.choose import Chooser, Wanted
from atftctl.operations.checkpoint.from_snapshot import models_of_snapshot
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.operations.rollback.added import added_settings
from atftctl.operations.rollback.auto_undo import carry_out_or_undo

Decide = Callable[[Facts, Resuming | None], Plan]


def back(project: Project, count: int, policy: RestartPolicy, request: Request, extra: Sequence[str] = ()) -> Result:
    """Go back so many checkpoints, and change only the settings `extra`, KEY=VALUE each. Raises Refused where there are
    not so many, and as `carry_out`."""
    added = added_settings(extra)
    chooser = Chooser(project, Wanted("last", back=count), policy, request)

    def decide(facts: Facts) -> Plan:
        return by_checkpoint.back(project.runbook, facts, chooser(facts, None), policy, added)

    return carry_out_or_undo(project, Change(decide, begin=chooser.keep), policy, request)


def change(project: Project, wanted: Wanted, policy: RestartPolicy, request: Request, decide: Decide) -> Change:
    """Return the change of settings that `decide` plans, with the checkpoint that is wanted. Without a grade and
    without going back, the trainer resumes from what the runbook says, and nothing is looked at; so it is where the
    trainer goes on running."""
    of_snapshot = wanted.resume == "snapshot" and not wanted.back
    if not (of_snapshot or wanted.back or wanted.floor or wanted.before is not None) or policy.live:
        return Change(lambda facts: decide(facts, None))
    chooser = Chooser(project, wanted, policy, request)

    def with_checkpoint(facts: Facts) -> Plan:
        if not wanted.back and facts.process.may_save and not policy.restart:
            return decide(facts, None)
        if of_snapshot:
            return decide(facts, models_of_snapshot(project, facts, policy, wanted.tried))
        return decide(facts, chooser(facts, _settings_alone(decide, facts)))

    return Change(with_checkpoint, begin=chooser.keep)


def _settings_alone(decide: Decide, facts: Facts) -> Plan | None:
    """The plan without a checkpoint, whose settings are those to measure with; None where none are left to change."""
    try:
        return decide(facts, None)
    except Refused:
        return None
