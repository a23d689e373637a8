"""`reenable --status`, and the line of `status`: where the phases stand, by the record and by the configs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from atftctl.decide.verdicts.phases import edits, next_number, standing
from atftctl.domain import missing_parts
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.facts import ConfigFile
from atftctl.domain.record import record
from atftctl.domain.reenabling import DOING_TEXTS, OPEN, Reenabling, contents_of
from atftctl.domain.result import Data, Result
from atftctl.domain.text import listed, nearest
from atftctl.observe.configs import read_configs
from atftctl.operations.project import Project
from atftctl.operations.reenable.run import COMMAND, place_of
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import reenable as store

Configs = Mapping[str, ConfigFile]


@record
class PhaseStanding(Data):
    """One phase of a plan.

    number: its number. title: its title in the operator's language. standing: `not begun`, `changing`, `watching`,
    `held`, `undoing`, `passed`, `accepted`, `failed` or `void`. note: why. gate: what it must show. source: where that
    rule comes from. evidence: what its gate saw. operation: id of its change. began: when. ended: when it was judged.
    operator: who began it. forced: the reason given with --force.
    """

    number: int
    title: str
    standing: str
    note: str
    gate: str
    source: str
    evidence: tuple[str, ...] = ()
    operation: str = ""
    began: str = ""
    ended: str = ""
    operator: str = ""
    forced: str = ""


@record
class ReenableStatusData(Data):
    """Data of `reenable --status`.

    plan_name: the plan. digest: of its phases, when the first one began; empty where none did. edited: what was changed
    in the plan since. halted: who halted the phases, when and why; empty where nobody did. next_phase: the phase that
    `reenable --next` begins or goes on with; 0 where all have passed. phases: all phases of the plan.
    """

    plan_name: str
    digest: str
    edited: tuple[str, ...]
    halted: str
    next_phase: int
    phases: tuple[PhaseStanding, ...]


def status(project: Project, plan: str) -> Result:
    """Show where the phases stand; changes nothing. `plan`: its name; "" for the one that was begun. Raises UsageError
    for an unknown plan."""
    runbook, state = project.runbook, store.read(project.layout)
    name = plan or (state.plan if state else runbook.reenable_plan)
    if state and name not in runbook.plans and not plan:
        raise Refused(
            tr("the plan that was begun, {name}, is no longer in the runbook", name=name),
            hint=tr("put it back, or abandon its phases: atftctl resume --drop"),
        )
    if not runbook.plans:
        raise missing_parts.plans(runbook)
    if name not in runbook.plans:
        raise UsageError(tr("unknown plan {name!r}", name=name), hint=nearest(name, runbook.plans))
    mine = state if state and state.plan == name else None
    configs = read_configs(project.layout.root, runbook.files)
    halt = store.read_halt(project.layout)
    data = ReenableStatusData(
        name,
        mine.digest if mine else "",
        tuple(edits(mine.contents, contents_of(runbook.plans[name]))) if mine else (),
        halt.summary if halt else "",
        _next(project, configs, mine, name),
        tuple(_standing(project, configs, mine, name, number) for number in range(1, len(runbook.plans[name]) + 1)),
    )
    lines = [
        *([tr("the phases are {halt}; to lift the halt: atftctl resume", halt=data.halted)] if halt else []),
        *([tr("the plan was edited: {changes}", changes=listed(data.edited, 4))] if data.edited else []),
    ]
    headline = summary(project) if mine else None
    return Result(COMMAND, Exit.DONE, headline or tr("{plan}: no phase was begun", plan=name), tuple(lines), data)


def _next(project: Project, configs: Configs, state: Reenabling | None, name: str) -> int:
    try:
        return next_number(project.runbook, configs, state, len(project.runbook.plans[name]))
    except Refused:
        return state.open.number if state and state.open else 1


def _standing(project: Project, configs: Configs, state: Reenabling | None, name: str, number: int) -> PhaseStanding:
    phase, known = project.runbook.plans[name][number - 1], state.phase(number) if state else None
    stands, note = _stands(project, configs, state, number)
    source = phase.gate.source.say(project.language) if phase.gate.source else ""
    shown = PhaseStanding(number, phase.title.say(project.language), stands, note, phase.gate.describe(), source)
    if known is None:
        return shown
    return replace(
        shown,
        evidence=known.evidence,
        operation=known.operation,
        began=known.began,
        ended=known.ended,
        operator=known.operator,
        forced=known.forced,
    )


def _stands(project: Project, configs: Configs, state: Reenabling | None, number: int) -> tuple[str, str]:
    """As `standing`; a config that can't be read shows nothing, so that the phase counts as void."""
    try:
        return standing(project.runbook, configs, state, number)
    except Refused as error:
        return "void", error.message


def summary(project: Project) -> Message | None:
    """Where the phases stand, in one sentence; None where none was begun. Raises Refused where that can't be read."""
    state, halt = store.read(project.layout), store.read_halt(project.layout)
    if state is None:
        return tr("re-enabling: {halt}", halt=halt.summary) if halt else None
    configs = read_configs(project.layout.root, project.runbook.files)
    number = state.open.number if state.open else max((phase.number for phase in state.phases), default=1)
    stands, note = _stands(project, configs, state, number)
    text = tr("{place} is {standing}", place=place_of(project, state, number), standing=DOING_TEXTS[stands])
    if stands in ("passed", "not begun", "failed"):
        text = tr("{place}: {standing}", place=place_of(project, state, number), standing=DOING_TEXTS[stands])
    whole = joined(": ", filter(None, [text, note]))
    line = tr("re-enabling {plan}: {standing}", plan=state.plan, standing=whole)
    if halt and halt.summary in note:  # the phase is held because of it
        return tr("{line} → atftctl resume", line=line)
    if halt:
        return tr("{line}; {halt} → atftctl resume", line=line, halt=halt.summary)
    running = stands in OPEN and store.is_running(state)
    if running:
        return tr("{line} (pid {pid})", line=line, pid=state.pid)
    return tr("{line} → atftctl resume", line=line) if stands in OPEN else line
