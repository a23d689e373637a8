"""`reenable --halt` and `--accept-inconclusive`, and `resume --drop`: what the operator decides about the phases."""

from __future__ import annotations

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.verdicts.phases import standing
from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.gate import DecideByHand
from atftctl.domain.plan import Plan
from atftctl.domain.reenabling import DOING_TEXTS, Halt, Reenabling
from atftctl.domain.result import Result
from atftctl.host import locks
from atftctl.observe.configs import digest
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, observe
from atftctl.operations.reenable import outcome
from atftctl.operations.reenable.begin import refuse_running
from atftctl.operations.reenable.run import COMMAND, PhaseRun, owned, place_of
from atftctl.operations.request import Request, review
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import reenable as store
from atftctl.state import reserve


def halt(project: Project, request: Request) -> Result:
    """Stop the phases: none may begin, and the one that is watched is held. Takes no lock: the phase that is to be
    stopped may hold it."""
    known = store.read_halt(project.layout)
    if known:
        raise Refused(
            tr("there is a halt already: the phases are {halt}", halt=known.summary),
            hint=tr("to lift the halt: atftctl resume"),
        )
    if dry_run := review(
        _decision(tr("halt the phases: none begins, and the one that is watched is held")), request, ask=False
    ):
        return dry_run
    reserve.prepare(project.layout)
    store.write_halt(project.layout, Halt(locks.operator(), now().isoformat(timespec="seconds"), request.reason))
    state = store.read(project.layout)
    opened = state.open if state else None
    headline = tr("halted: no phase begins until the halt is lifted")
    if state and opened and store.is_running(state):
        headline = tr(
            "halted: {place} is held as soon as its process (pid {pid}) sees it",
            place=place_of(project, state, opened.number),
            pid=state.pid,
        )
    return Result(COMMAND, Exit.DONE, headline, lines=(tr("to lift the halt: atftctl resume"),))


def accept(project: Project, number: int, why: str, request: Request) -> Result:
    """Let a phase pass although its gate was inconclusive; the reason stays in the history. `number`: of the phase; 0
    for the one that is held. Raises UsageError without a reason, Refused where no phase is held."""
    if not why.strip():
        raise UsageError(tr("--accept-inconclusive needs a reason"))
    state = _held(project, number)
    opened = state.open
    assert opened is not None, "a phase is held"
    place = place_of(project, state, opened.number)
    if dry_run := review(_decision(tr("accept {place}: {note}", place=place, note=opened.note)), request, ask=False):
        return dry_run
    with locked(project, COMMAND, request):
        state = owned(_held(project, opened.number))
        store.write(project.layout, state)
        run = PhaseRun(project, state, opened.number, RestartPolicy(), request)
        verdict = tr("accepted although inconclusive: {note}", note=opened.note)
        outcome.lift_quarantine(run, digest(observe(project).configs), "was accepted")
        run.log("accepted", Exit.DONE, verdict, (), why)
        run.update_locked(doing="accepted", ended=now().isoformat(timespec="seconds"), note=why)
    headline = tr("{place}: {verdict}", place=place, verdict=verdict)
    following = tr("next: atftctl reenable --next") if opened.number < state.count else tr("next: atftctl verify")
    return Result(COMMAND, Exit.DONE, headline, lines=(following,), data=run.data("inconclusive", ()))


def _held(project: Project, number: int) -> Reenabling:
    """The progress, where this phase is held. Raises Refused where it is not, or where another process is at it."""
    state = store.read(project.layout)
    opened = state.open if state else None
    if state is None or opened is None or (number and number != opened.number):
        known = state.phase(number) if state and number else None
        text = tr("phase {number} is not held", number=number) if number else tr("no phase is held")
        if known:
            text = tr("phase {number} is {standing}, not held", number=number, standing=DOING_TEXTS[known.doing])
        raise Refused(text, hint="atftctl reenable --status")
    refuse_running(state)
    stands, why = standing(project.runbook, observe(project).configs, state, opened.number)
    if stands != "held":
        shown = joined(": ", filter(None, [DOING_TEXTS[stands], why]))
        raise Refused(
            tr("phase {number} is {standing}, not held", number=opened.number, standing=shown),
            hint=tr("judge it first: atftctl reenable --phase {number}", number=opened.number),
        )
    return state


def drop(project: Project, request: Request) -> Result:
    """Abandon the phases: the record of what passed goes, a halt is lifted, and all files stay as they are. Raises
    Refused while another process carries a phase out."""
    state = store.read(project.layout)
    refuse_running(state)
    if dry_run := review(_decision(tr("abandon the phases; all files stay as they are")), request, ask=False):
        return dry_run
    with locked(project, COMMAND, request):
        refuse_running(store.read(project.layout))
        halt = store.read_halt(project.layout)
        store.clear(project.layout)
        store.lift_halt(project.layout)
    plan = state.plan if state else ""
    headline = tr("abandoned: the phases of {plan}; all files stay as they are", plan=plan)
    lines = (tr("lifted: the phases were {halt}", halt=halt.summary),) if halt else ()
    return Result("resume", Exit.DONE, headline, lines=lines)


def _decision(text: Message) -> Plan:
    return Plan(COMMAND, text, (DecideByHand(text),))
