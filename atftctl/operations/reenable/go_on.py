"""`resume`: lift a halt, and go on with the phase that is open."""

from __future__ import annotations

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import Refused
from atftctl.domain.reenabling import PhaseRecord, Reenabling
from atftctl.domain.result import Result
from atftctl.host.process import owner
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project
from atftctl.operations.reenable import begin
from atftctl.operations.reenable.order import Asked, is_open
from atftctl.operations.reenable.phase import phase
from atftctl.operations.reenable.run import COMMAND
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import reenable as store


def _refuse_void(project: Project, state: Reenabling, opened: PhaseRecord) -> None:
    """Raises Refused for a phase whose settings were taken away: `resume` must not bring them back."""
    if opened.doing in ("watching", "held") and not is_open(project, state, opened.number):
        raise Refused(
            tr("phase {number} of {plan} is void: its settings were taken away", number=opened.number, plan=state.plan),
            hint=tr("to begin it again: atftctl reenable --phase {number}", number=opened.number),
        )


def resume(project: Project, policy: RestartPolicy, request: Request) -> Result:
    """Lift a halt, and go on with the open phase where there is one. Raises Refused where another process carries it
    out."""
    state, halt = store.read(project.layout), store.read_halt(project.layout)
    if not halt:
        begin.refuse_running(state)
    opened = state.open if state else None
    if halt and not request.dry_run:
        with locked(project, COMMAND, request):
            store.lift_halt(project.layout)
            state = store.read(project.layout)
        request.report.note(tr("lifted: the phases were {halt}", halt=halt.summary))
        opened = state.open if state else None
        if state and opened and state.maker != owner.own_name() and store.is_running(state):
            values = {"pid": state.pid, "number": opened.number}
            return Result(
                "resume", Exit.DONE, tr("the halt is lifted; pid {pid} goes on with phase {number}", **values)
            )
    if state and opened:
        _refuse_void(project, state, opened)
        return phase(project, Asked(opened.number, state.plan), policy, request)
    headline = tr("the halt is lifted") if halt else tr("no phase is open")
    return Result("resume", Exit.DONE, headline, lines=(tr("next: atftctl reenable --next"),))
