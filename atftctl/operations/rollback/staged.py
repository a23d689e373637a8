"""`rollback --staged` and `resume`: roll back stage by stage until the trainer is healthy.

Improvements that no stage needed to turn off stay on.
"""

from __future__ import annotations

from dataclasses import replace

from atftctl.decide import symptoms
from atftctl.decide.plans import staged as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.symptoms import find_symptom
from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.staged import StagedState
from atftctl.domain.steps import RecoverFirst, ResumeStaged, RunStage
from atftctl.host import locks
from atftctl.host.process import owner
from atftctl.operations.change import waiting
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, observe, open_operation
from atftctl.operations.recover import RecoveredData
from atftctl.operations.request import Request, review
from atftctl.operations.rollback.stages import run_stages
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr
from atftctl.state import staged as staged_state
from atftctl.state.layout import Layout


def staged(project: Project, symptom: str, policy: RestartPolicy, request: Request) -> Result:
    """Roll back stage by stage. `symptom`: its name, alias or title; "" for that of the last crash.

    Raises Refused where another staged rollback is open, where nothing is left to roll back, and where no trainer runs
    that could be watched.
    """
    layout, runbook = project.layout, project.runbook
    if layout.pending.exists():
        from atftctl.operations import overdue

        overdue.attend(project, request)
    _refuse_open_staged(layout)
    facts = observe(project)
    name = find_symptom(runbook, symptom)[0] if symptom else _symptom(project, facts, request)
    plan = decide.staged(runbook, facts, name, project.language)
    if dry_run := review(plan, request):
        return dry_run
    with locked(project, "rollback --staged", request):
        _refuse_open_staged(layout)
        waiting.refuse_other(layout, "")
        state = _owned(_first_state(plan, name, request))
        staged_state.write(layout, state)
    return run_stages(project, state, policy, request)


def _symptom(project: Project, facts: Facts, request: Request) -> str:
    """The symptom of the trainer's last event; where a trainer has ended that writes none, the sure cause by what its
    output and the kernel say. Raises UsageError where there is none."""
    process = facts.process
    if process.state == "died" and process.ready and not process.speaks:
        from atftctl.operations.monitoring.diagnose import diagnose
        from atftctl.operations.monitoring.diagnosis_data import DiagnoseData

        data = diagnose(project, "", request.report).data
        if isinstance(data, DiagnoseData) and data.verdict == "fault" and data.cause and data.cause.symptom:
            return data.cause.symptom
    return symptoms.symptom_of(project.runbook, facts)


def _refuse_open_staged(layout: Layout) -> None:
    if state := staged_state.read(layout):
        raise Refused(
            state.summary, hint=tr("to continue this rollback: atftctl resume; to abandon it: atftctl resume --drop")
        )


def _owned(state: StagedState) -> StagedState:
    """Return the state with this process as the one that carries it out."""
    return replace(state, maker=owner.own_name())


def _first_state(plan: Plan, symptom: str, request: Request) -> StagedState:
    names = tuple(step.name for step in plan.steps if isinstance(step, RunStage))
    started = now().isoformat(timespec="seconds")
    return StagedState(symptom, names, 0, "changing", (), started, locks.operator(), request.reason)


def resume(project: Project, operation: str, policy: RestartPolicy, request: Request, *, drop: bool) -> Result:
    """Continue what was interrupted: an open operation, then a staged rollback.

    `operation`: the one to resume, by its id or how it begins; "" for whatever is open. `drop`: give the staged
    rollback up; all files stay as they are. Raises Refused where nothing was interrupted, and while another process
    carries the rollback out.
    """
    state = staged_state.read(project.layout)
    _refuse_running(state)
    _refuse_other(project, state, operation)
    if dry_run := review(_plan_resume(project, state), request, ask=False):
        return dry_run
    with locked(project, "resume", request) as recovered:
        state = staged_state.read(project.layout)
        _refuse_running(state)
        if state and drop:
            staged_state.clear(project.layout)
            headline = tr("abandoned: {rollback}; all files stay as they are", rollback=state.summary)
            return Result("resume", Exit.DONE, headline)
        if state:
            state = _owned(state)
            staged_state.write(project.layout, state)
    if state:
        request.report.note(state.summary)
        return run_stages(project, state, policy, request)
    if not recovered.lines:
        raise Refused(
            tr("nothing to resume: no operation was interrupted"), hint=tr("list the operations: atftctl history")
        )
    code = Exit.CHECK_FAILED if recovered.not_started else Exit.DONE
    lines = tuple(recovered.lines)
    return Result("resume", code, joined("; ", lines), data=RecoveredData(lines))


def _plan_resume(project: Project, state: StagedState | None) -> Plan:
    opened = open_operation(project.layout)
    recovery = (RecoverFirst(opened.remedy),) if opened else ()
    staged_steps = (ResumeStaged(state.stages[state.at], state.stages[state.at + 1 :]),) if state else ()
    return Plan("resume", tr("continue the interrupted operation"), (*recovery, *staged_steps))


def _refuse_other(project: Project, state: StagedState | None, operation: str) -> None:
    """Raises Refused for an operation that was not interrupted."""
    opened = open_operation(project.layout)
    interrupted = [*(state.operations if state else ()), *([opened.id] if opened else [])]
    if operation and not any(name.startswith(operation) for name in interrupted):
        hint = tr("no operation was interrupted; list the operations: atftctl history")
        if interrupted:
            hint = tr("interrupted operations: {operations}", operations=", ".join(interrupted))
        raise Refused(tr("operation {operation} was not interrupted", operation=operation), hint=hint)


def _refuse_running(state: StagedState | None) -> None:
    """Raises Refused while another process carries the rollback out."""
    if state and staged_state.is_running(state):
        raise Refused(
            tr(
                "{rollback}: {operator} is running it (pid {pid})",
                rollback=state.summary,
                operator=state.operator,
                pid=state.pid,
            ),
            hint=tr("wait until that operation has ended, or ask its operator"),
        )
