"""`rollback --staged`: stage after stage, each an operation of its own, until the trainer is healthy. Innocent
improvements stay on. It can be left at any instant, and gone on with: `resume`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from atftctl.decide import symptoms
from atftctl.decide.plans import by_settings
from atftctl.decide.plans import setting_changes as decide_settings
from atftctl.decide.plans import staged as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.symptoms import find_symptom
from atftctl.decide.verdicts import health
from atftctl.domain.errors import Inconclusive, Interrupted, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Part, Result
from atftctl.domain.staged import StagedState
from atftctl.domain.steps import RecoverFirst, ResumeStaged, RunStage
from atftctl.domain.verdict import EXIT_OF, Verdict
from atftctl.host import footprint, locks
from atftctl.host.process import owner
from atftctl.observe.trainer_run import process
from atftctl.observe.trainer_run import watch as observed
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, observe, open_operation
from atftctl.operations.request import Request, review, yes
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import staged as kept
from atftctl.state import staged as staged_state
from atftctl.state.layout import Layout

POLL_S = 0.2


def staged(project: Project, word: str, wish: RestartPolicy, request: Request) -> Result:
    """Raises Refused where one is under way already, or where there is nothing to watch."""
    layout, runbook = project.layout, project.runbook
    _refuse_another(layout)
    facts = observe(project)
    symptom = find_symptom(runbook, word)[0] if word else symptoms.symptom_of(runbook, facts)
    plan = decide.staged(runbook, facts, symptom, project.language)
    if dry_run := review(plan, request):
        return dry_run
    with locked(project, "rollback --staged", request):
        _refuse_another(layout)
        state = _mine(_begin(plan, symptom, request))
        kept.write(layout, state)
    return _run(project, state, wish, request)


def _refuse_another(layout: Layout) -> None:
    if other := staged_state.read(layout):
        raise Refused(other.summary, hint="atftctl resume goes on with it; atftctl resume --drop forgets it")


def _mine(state: StagedState) -> StagedState:
    """Carried out by this process from now on."""
    return replace(state, maker=owner.own_name())


def _begin(plan: Plan, symptom: str, request: Request) -> StagedState:
    names = tuple(step.name for step in plan.steps if isinstance(step, RunStage))
    started = now().isoformat(timespec="seconds")
    return StagedState(symptom, names, 0, "changing", (), started, locks.operator(), request.reason)


def resume(project: Project, word: str, wish: RestartPolicy, request: Request, *, drop: bool) -> Result:
    """Go on with what was left in the middle: an open operation, and a staged rollback. `word`: the operation that is
    meant, or how its id begins; "" for whatever there is. Raises Refused for one that was not left in the middle."""
    state = staged_state.read(project.layout)
    _refuse_at_work(state)
    _refuse_other(project, state, word)
    if dry_run := review(_plan_resume(project, state), request, ask=False):
        return dry_run
    with locked(project, "resume", request) as recovered:
        state = staged_state.read(project.layout)
        _refuse_at_work(state)
        if state and not drop:
            state = _mine(state)
            kept.write(project.layout, state)
        if drop and state:
            kept.clear(project.layout)
            return Result("resume", Exit.DONE, f"forgotten: {state.summary}; all files stay as they are")
    if state is None:
        if recovered.lines:
            code = Exit.CHECK_FAILED if recovered.not_started else Exit.DONE
            return Result("resume", code, "; ".join(recovered.lines), data={"recovered": recovered.lines})
        raise Refused("nothing was left in the middle", hint="atftctl history shows what was done")
    request.report.note(state.summary)
    return _run(project, state, wish, request)


def _plan_resume(project: Project, state: StagedState | None) -> Plan:
    opened = open_operation(project.layout)
    recovery = (RecoverFirst(opened.remedy),) if opened else ()
    staged_steps = (ResumeStaged(state.stages[state.at], state.stages[state.at + 1 :]),) if state else ()
    return Plan("resume", tr("continue what was interrupted"), (*recovery, *staged_steps))


def _refuse_other(project: Project, state: StagedState | None, word: str) -> None:
    opened = open_operation(project.layout)
    left = [*(state.operations if state else ()), *([opened.id] if opened else [])]
    if word and not any(one.startswith(word) for one in left):
        then = f"what was: {', '.join(left) or 'nothing'}"
        raise Refused(f"{word} was not left in the middle", hint=f"{then}; atftctl history")


def _refuse_at_work(state: StagedState | None) -> None:
    """One process carries it out, and no other."""
    if state and staged_state.is_running(state):
        raise Refused(f"{state.summary}: {state.operator} is at it (pid {state.pid})", hint="wait for it, or ask them")


def _run(project: Project, state: StagedState, wish: RestartPolicy, request: Request) -> Result:
    """From where the state says to the first healthy stage. Whatever ends it, the state on disk says where it was."""
    try:
        return _stages(project, state, wish, request)
    except KeyboardInterrupt:
        left = staged_state.read(project.layout) or state
        raise Interrupted(
            "interrupted",
            state="; ".join((left.summary, footprint.state("no file has changed yet"))),
            hint="atftctl resume",
        ) from None


def _stages(project: Project, state: StagedState, wish: RestartPolicy, request: Request) -> Result:
    quiet = replace(request, confirm=yes, seen=yes, reason=request.reason or state.reason)
    parts: list[Part] = []
    while True:
        if state.doing == "changing":
            state = _change(project, state, wish, quiet, parts)
        begun = time.monotonic()
        verdict, words = _judge(project, state, request)
        parts.append(Part(f"watch {state.stages[state.at]}", time.monotonic() - begun))
        request.report.note(f"stage {state.at + 1} of {len(state.stages)} ({state.stages[state.at]}): {words}")
        if verdict is not Verdict.FAIL or state.at + 1 == len(state.stages):
            done = _ended(project, state, verdict, words, parts)
            return _put_back(project, done, state, wish, quiet) if quiet.or_undo and verdict is Verdict.FAIL else done
        state = replace(state, at=state.at + 1, doing="changing")
        kept.write(project.layout, state)


def _change(
    project: Project, state: StagedState, wish: RestartPolicy, quiet: Request, parts: list[Part]
) -> StagedState:
    """The stage's settings, restart, first step. One whose settings are in place already (a crash came after them) is
    watched as it is."""

    def decide_stage(facts: Facts) -> Plan:
        stage = state.stages[state.at]
        return by_settings.stage(project.runbook, facts, state.symptom, stage, wish, project.language)

    done: tuple[str, ...] = ()
    if not decide_stage(observe(project)).empty:
        result = carry_out(project, Change(decide_stage), replace(quiet, or_undo=False))
        parts += result.parts
        done = (result.change.operation,)
        if result.exit_code is Exit.INTERRUPTED:
            raise Interrupted(result.headline, state=state.summary, hint="atftctl resume")
    record = process.read_record(project.layout)
    run_id = record.run_id if record else ""
    state = replace(state, doing="watching", operations=(*state.operations, *done), run_id=run_id)
    kept.write(project.layout, state)
    return state


def _judge(project: Project, state: StagedState, request: Request) -> tuple[Verdict, str]:
    """Watch until the window is full, the time is up, or something is wrong; then what came of it."""
    rules, checks, command = project.runbook.staged, project.runbook.checks, project.runbook.trainer.command
    detector = project.runbook.symptoms[state.symptom].detector
    deadline = time.monotonic() + rules.window_s
    request.report.part("watch")
    while True:
        seen, others = observed.look(project.layout, state, command)
        if others:
            return Verdict.INCONCLUSIVE, others
        verdict, words = health.judge(
            seen, steps=rules.window_steps, grad_norm_max=checks.grad_norm_max, leak=detector == "leak"
        )
        if verdict is not Verdict.INCONCLUSIVE or time.monotonic() >= deadline:
            break
        time.sleep(POLL_S)
    if verdict is Verdict.PASS and detector == "quality":
        return _quality(project, request)
    return verdict, words


def _quality(project: Project, request: Request) -> tuple[Verdict, str]:
    """Quality shows in no window of training steps: the checklist judges it."""
    from atftctl.operations.verification.checklist import verify

    try:
        found = verify(project, request)
    except Inconclusive as error:
        return Verdict.INCONCLUSIVE, error.message
    bad = [f"{one['name']}: {one['detail']}" for one in found.data["checks"] if one["verdict"] != Verdict.PASS.value]
    return Verdict(found.data["verdict"]), "; ".join(bad) or found.headline


def _ended(project: Project, state: StagedState, verdict: Verdict, words: str, parts: Sequence[Part]) -> Result:
    at = f"stage {state.at + 1} of {len(state.stages)} ({state.stages[state.at]})"
    undo = tuple(f"undo: atftctl undo {operation}" for operation in reversed(state.operations))
    if verdict is not Verdict.INCONCLUSIVE:
        kept.clear(project.layout)
    headline, lines = {
        Verdict.PASS: (f"healthy after {at}: {words}", (f"still on: {_still_on(project)}", "next: atftctl verify")),
        Verdict.FAIL: (
            f"no stage made the trainer healthy; after {at}: {words}",
            ("next: atftctl rollback --to last-good",),
        ),
        Verdict.INCONCLUSIVE: (
            f"not shown after {at}: {words}",
            ("next: atftctl resume watches on; atftctl resume --drop leaves it at that",),
        ),
    }[verdict]
    return Result(
        "rollback",
        EXIT_OF[verdict],
        headline,
        lines=(*lines, *undo),
        parts=tuple(parts),
        data={
            "symptom": state.symptom,
            "stage": state.stages[state.at],
            "verdict": verdict.value,
            "operations": list(state.operations),
        },
        contacts=project.contacts if verdict is Verdict.FAIL else (),
    )


def _put_back(project: Project, done: Result, state: StagedState, wish: RestartPolicy, quiet: Request) -> Result:
    """Every stage, newest first: `--or-undo`."""
    from atftctl.operations.undo import undo

    for operation in reversed(state.operations):
        undo(project, operation, wish, replace(quiet, or_undo=False, reason=f"put back: {done.headline}"))
    return replace(done, exit_code=Exit.RESTORED, headline=f"put back: {done.headline}", lines=())


def _still_on(project: Project) -> str:
    found = decide_settings.state(project.runbook, observe(project))
    return ", ".join(name for name, word in found.items() if word == "on") or "nothing"
