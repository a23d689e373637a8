"""Which phase of which plan is meant."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.decide.plans.phases import PhaseOrder
from atftctl.decide.verdicts.phases import next_number, taken_away
from atftctl.domain import missing_parts
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.reenabling import DOING_TEXTS, OPEN, PhaseRecord, Reenabling
from atftctl.domain.text import nearest
from atftctl.operations.project import Project, observe
from atftctl.protocol.messages import tr
from atftctl.state import reenable as store


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. number: of the phase; 0 for the open one, else the next one. plan: its name; ""
    for the one that was begun, else the runbook's default. force: why the phase may begin although its conditions are
    not met. wait: watch and judge now. start: start a trainer that is not running, though the settings are in place."""

    number: int = 0
    plan: str = ""
    force: str = ""
    wait: bool = True
    start: bool = False


def order_of(project: Project, asked: Asked) -> PhaseOrder:
    """Which phase of which plan is meant. Raises UsageError for an unknown plan, Refused where no phase is left, and
    where another plan is in the middle of a phase."""
    runbook, state = project.runbook, store.read(project.layout)
    name = asked.plan or (state.plan if state else runbook.reenable_plan)
    if state and name not in runbook.plans and not asked.plan:
        raise Refused(
            tr("the plan that was begun, {name}, is no longer in the runbook", name=name),
            hint=tr("put it back, or abandon its phases: atftctl resume --drop"),
        )
    if not runbook.plans:
        raise missing_parts.plans(runbook)
    if name not in runbook.plans:
        raise UsageError(tr("unknown plan {name!r}", name=name), hint=nearest(name, runbook.plans))
    if state and state.plan != name and (other := state.open) and _binds(project, state, other):
        raise Refused(
            tr(
                "phase {number} of the plan {plan} is {standing}",
                number=other.number,
                plan=state.plan,
                standing=DOING_TEXTS[other.doing],
            ),
            hint=tr("finish it: atftctl resume; or abandon that plan: atftctl resume --drop"),
        )
    mine = state if state and state.plan == name else None
    opened = mine.open if mine else None
    number = asked.number or (opened.number if mine and opened and is_open(project, mine, opened.number) else 0)
    number = number or next_number(runbook, observe(project).configs, mine, len(runbook.plans[name]))
    if not number:
        raise Refused(
            tr("all phases of {plan} have passed", plan=name),
            hint=tr("show them: atftctl reenable --status; check the service: atftctl verify"),
        )
    return PhaseOrder(name, number, state, asked.force)


def _binds(project: Project, state: Reenabling, phase: PhaseRecord) -> bool:
    """Must this open phase be finished before another plan begins? One that is being undone may be half undone."""
    return phase.doing == "undoing" or is_open(project, state, phase.number)


def is_open(project: Project, state: Reenabling, number: int) -> bool:
    """Is this phase open, with its settings in place?"""
    phase = state.phase(number)
    if phase is None or phase.doing not in OPEN:
        return False
    return not taken_away(project.runbook, observe(project).configs, state.contents, number)
