"""`reenable --phase`, `reenable --next` and `resume`: carry out a phase, or go on with the one that is open."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from atftctl.decide.plans import phases as decide
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.decide.plans.phases import PhaseOrder
from atftctl.domain.errors import AtftError, Interrupted, InterventionNeeded, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.gate import DecideByHand
from atftctl.domain.plan import Plan
from atftctl.domain.reenabling import Reenabling, contents_of
from atftctl.domain.result import Result
from atftctl.domain.verdict import Check, Verdict
from atftctl.host import footprint
from atftctl.host.errors import HostError
from atftctl.host.process import owner
from atftctl.operations.change.carry_out import carry_out
from atftctl.operations.change.change import Change
from atftctl.operations.change.project_lock import locked, recover_first
from atftctl.operations.project import Project, observe, open_operation
from atftctl.operations.reenable import begin, outcome, window
from atftctl.operations.reenable.order import Asked, is_open, order_of
from atftctl.operations.reenable.run import COMMAND, PhaseRun, owned, place_of, wait_for_lock
from atftctl.operations.request import Request, review, yes
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr
from atftctl.state import reenable as store


def phase(project: Project, asked: Asked, policy: RestartPolicy, request: Request) -> Result:
    """Turn the improvements of one phase on and judge it by its gate; a phase that is open is only judged.

    Raises UsageError for an unknown plan, Refused where the phase may not begin, Interrupted with where it stands, and
    as `carry_out`.
    """
    try:
        return _phase(project, asked, policy, request)
    except KeyboardInterrupt:
        state = store.read(project.layout)
        if state is None or state.open is None or state.maker != owner.own_name():
            raise
        raise _interrupted(project, state, tr("interrupted")) from None


def _phase(project: Project, asked: Asked, policy: RestartPolicy, request: Request) -> Result:
    if not request.dry_run and open_operation(project.layout):
        recover_first(project, COMMAND, request)  # a phase that a crash interrupted is finished or put back
    request.before(project, request, "")
    begin.refuse_begin(project.layout)
    order = order_of(project, asked)
    known = order.known
    if order.progress and known and (known.doing == "undoing" or is_open(project, order.progress, order.number)):
        return _go_on(project, order, policy, request, asked)
    return _begin(project, _with_force_of_before(project, order), policy, request, asked)


def _with_force_of_before(project: Project, order: PhaseOrder) -> PhaseOrder:
    """The order with the reason that was given with --force before a crash put the change of the phase back. A plan
    that was edited since then needs a reason of its own."""
    known, progress = order.known, order.progress
    if order.forced or not progress or not known or known.doing != "changing":
        return order
    unedited = progress.contents == contents_of(project.runbook.plans[order.plan])
    return replace(order, forced=known.forced) if unedited else order


def _begin(project: Project, order: PhaseOrder, policy: RestartPolicy, request: Request, asked: Asked) -> Result:
    """Change the settings of the phase, restart, watch, judge. A phase that is in place already is only judged."""
    plan = _decide(project, order, policy, observe(project))
    before: list[Reenabling | None] = []  # what the record was under the lock, once it was replaced

    def begin_it(plan: Plan) -> None:
        known = store.read(project.layout)
        begun = begin.begun(project.runbook, replace(order, state=known), plan, owner.own_name())
        before[:] = before or [known]  # the first one: a change that fills the disk is tried twice
        store.write(project.layout, begun)

    change = Change(
        lambda facts: _decide(project, _now(project, order), policy, facts),
        check=lambda: begin.refuse_begin(project.layout),
        begin=begin_it,
    )
    if decide.only_watches(plan):
        return _begin_watching(project, order, change, policy, request, asked)
    try:
        result = carry_out(project, change, replace(request, or_undo=False))
    except InterventionNeeded:
        raise
    except (AtftError, HostError, OSError):
        if before:
            _take_back(project, before[0], request)
        raise
    if request.dry_run:
        return result
    state = store.read(project.layout)
    assert state is not None, "the change of a phase writes its state first"
    return _after_change(_run(project, state, order, policy, request), result, asked)


def _now(project: Project, order: PhaseOrder) -> PhaseOrder:
    """The order with the progress as it is now."""
    return replace(order, state=store.read(project.layout))


def _decide(project: Project, order: PhaseOrder, policy: RestartPolicy, facts: Facts) -> Plan:
    return decide.reenable(project.runbook, facts, order, policy, project.language)


def _take_back(project: Project, before: Reenabling | None, request: Request) -> None:
    """The change was put back or refused: the phases stand as before. A halt stays: it may be somebody else's."""
    with suppress(OSError, HostError, AtftError):
        wait_for_lock(project.layout)
        with locked(project, COMMAND, request):
            state = store.read(project.layout)
            if state is None or state.maker != owner.own_name():
                return
            if before is None:
                store.clear(project.layout)
            else:
                store.write(project.layout, before)


def _begin_watching(
    project: Project, order: PhaseOrder, change: Change, policy: RestartPolicy, request: Request, asked: Asked
) -> Result:
    """Judge a phase whose settings are in place and whose trainer runs: nothing is changed."""
    if dry_run := review(change.decide(observe(project)), request):
        return dry_run
    with locked(project, COMMAND, request):
        change.check()
        facts = observe(project)
        change.begin(change.decide(facts))
        state = store.read(project.layout)
        assert state is not None, "it was written a moment ago"
        run = _run(project, state, order, policy, request)
        _view(run, facts)
    return _watch(run, asked)


def _run(project: Project, state: Reenabling, order: PhaseOrder, policy: RestartPolicy, request: Request) -> PhaseRun:
    quiet = replace(request, confirm=yes, seen=yes, or_undo=False)
    return PhaseRun(project, state, order.number, policy, quiet)


def _view(run: PhaseRun, facts: Facts) -> None:
    """Under the lock: judge the trainer that runs with the configs, from now on. Where none has run with them so far,
    the models of the phase are those that are saved from now on: the trainer of before may have saved some."""
    snapshot = run.phase.snapshot if run.phase.view.run_id else ""
    view = begin.view_now(run.project, facts, snapshot, with_models=bool(run.rule.gate.quality))
    run.update_locked(doing="watching", view=view)


def _after_change(run: PhaseRun, result: Result, asked: Asked) -> Result:
    """Record what is to be judged: the steps of the run that was started. A trainer that did not come up fails the
    gate."""
    changed = result.change
    run.changes = changed.changes
    run.parts += result.parts
    started = str((changed.first_step or {}).get("run_id", ""))
    gate = run.rule.gate
    operation = changed.operation if changed.changes else run.phase.operation
    snapshot = changed.snapshot or run.phase.snapshot
    view = begin.view_of_run(run.project, started, snapshot, with_models=bool(gate.quality))
    run.update(doing="watching", operation=operation, snapshot=snapshot, view=view)
    if result.exit_code is Exit.INTERRUPTED:
        raise _interrupted(run.project, run.state, result.headline)
    if result.exit_code is Exit.CHECK_FAILED:
        return outcome.conclude(run, (Check("first step", Verdict.FAIL, result.headline),))
    return _watch(run, asked)


def _watch(run: PhaseRun, asked: Asked) -> Result:
    """Watch the open gate, and do what follows from its verdict."""
    if not asked.wait:
        run.state = replace(run.state, maker="")
        return _release(run)
    return outcome.conclude(run, window.judge(run))


def _release(run: PhaseRun) -> Result:
    """Leave the phase to be judged later: `--no-wait`."""
    with run.locked_for_record():
        state = store.read(run.layout)
        if state:
            store.write(run.layout, replace(state, maker=""))
    return Result(
        COMMAND,
        Exit.DONE,
        tr("{place} is in place; its gate is not judged yet", place=run.place),
        lines=(tr("next, to judge it: atftctl reenable --next"),),
        parts=tuple(run.parts),
        data=run.data("", ()),
    )


def _interrupted(project: Project, state: Reenabling, message: str) -> Interrupted:
    """The error that says where the open phase stands."""
    assert state.open is not None, "a phase is open"
    place = place_of(project, state, state.open.number)
    done = tr("{place} is in place, and its gate is not judged", place=place)
    if state.open.doing == "undoing":
        done = tr("{place} failed, and is not undone yet", place=place)
    elif state.open.doing == "changing":
        done = tr("{place} was being changed", place=place)
    changed = footprint.state() if footprint.so_far() else ""
    return Interrupted(message, state=joined("; ", filter(None, (done, changed))), hint="atftctl resume")


def _go_on(project: Project, order: PhaseOrder, policy: RestartPolicy, request: Request, asked: Asked) -> Result:
    """Go on with an open phase: finish its undo, or judge its gate. Nothing is restarted; a trainer that is not running
    is started only where `asked.start` says so."""
    undoing = order.known is not None and order.known.doing == "undoing"
    plan = _plan_undo(order) if undoing else decide.go_on(project.runbook, order, project.language)
    if dry_run := review(plan, request, ask=False):
        return dry_run
    run = _take_over(project, order, policy, request)
    if undoing:
        return outcome.undo(run, ())
    if run.phase.doing == "changing":
        _settle(run)
    seen, obstacle = window.look(run)
    if obstacle and not _judge_other_trainer(run):
        if asked.start and policy.restart and not observe(project).process.alive:
            forced = replace(_now(project, order), forced=order.forced or run.phase.forced)
            return _begin(project, forced, policy, request, asked)
        return outcome.conclude(run, (seen,))
    if run.phase.doing != "watching":
        run.update(doing="watching")
    return _watch(run, asked)


def _plan_undo(order: PhaseOrder) -> Plan:
    text = tr("undo phase {number} of {plan}, which failed at its gate", number=order.number, plan=order.plan)
    return Plan(COMMAND, text, (DecideByHand(text),))


def _judge_other_trainer(run: PhaseRun) -> bool:
    """Judge from now on by another trainer that runs with the settings of the phase; False where none does."""
    wait_for_lock(run.layout)
    with locked(run.project, COMMAND, run.request):
        facts = observe(run.project)
        if not begin.view_now(run.project, facts, "", with_models=False).run_id:
            return False
        _view(run, facts)
        return True


def _take_over(project: Project, order: PhaseOrder, policy: RestartPolicy, request: Request) -> PhaseRun:
    """Make this process the one that carries the phase out. Raises Refused where another process does."""
    with locked(project, COMMAND, request):
        begin.refuse_begin(project.layout)
        state = store.read(project.layout)
        if state is None or state.plan != order.plan or not state.phase(order.number):
            raise Refused(tr("the phases were abandoned meanwhile"), hint="atftctl reenable --status")
        state = begin.accept_edits(owned(state), order, contents_of(project.runbook.plans[order.plan]))
        store.write(project.layout, state)
    return _run(project, state, order, policy, request)


def _settle(run: PhaseRun) -> None:
    """After a crash in the change: recovery has finished it. Find its operation, and the run that it started."""
    with locked(run.project, COMMAND, run.request):
        facts = observe(run.project)
        operation, snapshot = begin.operation_of(run.layout, run.state, run.phase)
        with_models = bool(run.rule.gate.quality)
        view = begin.view_after_crash(run.project, facts, operation, snapshot, with_models=with_models)
        run.update_locked(
            doing="watching",
            operation=operation or run.phase.operation,
            snapshot=snapshot or run.phase.snapshot,
            view=view,
        )
