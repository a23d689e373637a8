"""Carry out a change of files: observe, decide, show, ask, lock, recover, apply, prove.

Every command that changes files of the project does so by this function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.domain.errors import DiskFull, InterventionNeeded, Refused
from atftctl.domain.facts import Facts, Process
from atftctl.domain.plan import Plan, with_notes, with_rehearsal
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.proof import proof_texts
from atftctl.domain.result import ChangeData, Result
from atftctl.host.errors import HostError, reason
from atftctl.observe.configs import digest as configs_digest
from atftctl.observe.trainer_run import process as observed_process
from atftctl.operations.change import settings_check, waiting
from atftctl.operations.change.change import Change
from atftctl.operations.change.new_runbook import with_new_runbook
from atftctl.operations.change.preview import Rendered, render, with_new_digest
from atftctl.operations.change.project_lock import locked
from atftctl.operations.checkpoint import cost
from atftctl.operations.project import Project, now, observe
from atftctl.operations.request import Request, Stopwatch, review
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.apply.operation import Operation, OperationInputs
    from atftctl.operations.change.proof import Proof

# What only applying needs is imported by the functions that apply: a dry run takes a third less time.


def carry_out(project: Project, change: Change, request: Request) -> Result:
    """Observe and decide, show the plan, ask, then do exactly what was shown. Raises Refused where the plan is out of
    date by then; AtftError for every other end."""
    watch = Stopwatch(request.report)
    request.before(project, request, change.undoes)
    with watch.part("decide"):
        facts, plan = _decide(project, change, request)
        rendered = render(project, plan, check_copies=bool(plan.stops), given=change.contents)
        checked = settings_check.notes_on(project, plan, rendered)
        plan = with_notes(plan, (*rendered.notes, *checked, *cost.notes_on(project, plan, facts)))
    if any(target.snapshot for target in plan.targets):
        from atftctl.operations.change import free_space

        free_space.for_restore(project, plan, facts.snapshots)
    if request.rehearse:
        from atftctl.operations.change import rehearsal

        with watch.part("rehearsal"):
            plan = rehearsal.rehearsed(project, facts.process, plan, rendered, request.rehearse)
    measured = {name: plan.facts[name] for name in ("rehearsal",) if name in plan.facts}
    if dry_run := review(plan, request, rendered.diff, watch.parts, **measured):
        return dry_run
    from atftctl.state import reserve

    for attempt in (1, 2):
        try:
            with locked(project, plan.command, request):
                waiting.refuse_other(project.layout, change.undoes)
                facts, final = _decide(project, change, request)
                _refuse_outdated(plan, final)
                final = with_rehearsal(plan, final)
                change.begin(final)
                return _apply(project, facts, final, with_new_digest(project, rendered), request, watch)
        except DiskFull:
            if attempt == 2 or not reserve.release(project.layout):
                raise
            request.report.note(tr("the disk is full: using the reserve"))
    raise AssertionError("unreachable")


def _decide(project: Project, change: Change, request: Request) -> tuple[Facts, Plan]:
    change.check()
    facts = observe(project, change.digests_of)
    plan = waiting.with_step(change.decide(facts), request)
    return facts, waiting.with_warning(plan, project.layout, change.undoes) if request.dry_run else plan


def _refuse_outdated(shown: Plan, final: Plan) -> None:
    """Raises Refused unless the same files get the same content, and no trainer is stopped that was not shown.

    That a trainer died in between, or recovery cleaned up after a crash, does not outdate a plan.
    """
    new_stops = {step.pid for step in final.stops} - {step.pid for step in shown.stops}
    if shown.targets != final.targets or new_stops:
        raise Refused(
            tr("the plan is out of date: files changed after it was shown, or a trainer was started"),
            hint=tr("run this command again and review the new plan"),
        )


def _apply(
    project: Project, facts: Facts, plan: Plan, rendered: Rendered, request: Request, watch: Stopwatch
) -> Result:
    """Apply the plan and wait for the proof. What fails before the decision is put back; after it, it stays open."""
    from atftctl.apply.operation import Operation
    from atftctl.host.process.interrupts import deferred
    from atftctl.operations.change.failure import end_failed
    from atftctl.operations.change.proof import Proof

    inputs = _operation_inputs(project, facts, plan, rendered, request)
    operation = Operation(project.layout, plan, inputs, now(), request.report.note, request.report.progress)
    try:
        _prepare(project, facts.process, operation, watch, rendered.diff)
        with deferred() as held:
            if plan.targets or plan.packages:
                with watch.part("files"):
                    operation.change()
            operation.decided = True
            if plan.packages:
                with watch.part("packages"):
                    operation.change_packages()
            record, problem = _start(operation, watch)
    except BaseException as error:
        raise end_failed(operation, error) from error
    proof = Proof(healthy=not problem, problem=problem, interrupted=held.interrupted)
    if not held.interrupted:
        proof = _await_proof(project, plan, record, rendered.digest, watch) or proof
    _close(operation, proof, watch)
    if plan.targets and project.layout.reenable.exists():
        from atftctl.operations.change.phase_passes import void_lost

        void_lost(project, plan.command, operation.id)
    return waiting.begin(_result(project, operation, watch, proof), operation)


def _prepare(project: Project, process: Process, operation: Operation, watch: Stopwatch, diff: tuple[str, ...]) -> None:
    """Do everything before the decision: save the evidence, start the timer, stop the trainer, take the snapshot."""
    from atftctl.decide.verdicts.crash_cause import cause
    from atftctl.observe.evidence import collect

    plan = operation.plan
    with watch.part("evidence"):
        evidence = collect(project.layout, project.runbook.files.configs, process, project.runbook.trainer.output)
        died = process.last_event and not process.alive
        diagnosis = cause(process.last_event or {}) if died else f"trainer {process.state}"
        operation.open(
            {
                **evidence,
                "change.diff": "\n".join(diff).encode("utf-8", "surrogateescape"),
                "diagnosis.txt": f"{diagnosis}\n".encode(),
            }
        )
    if plan.confirmation:
        from atftctl.operations.change import confirmation

        with watch.part("timer"):
            confirmation.arm(project.layout, operation)
    if plan.stops:
        with watch.part("stop"):
            operation.stop()
    operation.fence()
    if plan.snapshot:
        with watch.part("snapshot"):
            operation.settle_units()
            operation.take_snapshot()


def _start(operation: Operation, watch: Stopwatch) -> tuple[ProcessRecord | None, str]:
    """Start the new trainer; return its record, or why it can't be started. The new settings stay in any case: the old
    ones were the fault."""
    if not operation.plan.start:
        return None, ""
    with watch.part("start"):
        try:
            return operation.start(), ""
        except (OSError, HostError) as error:
            return None, reason(error)


def _await_proof(
    project: Project, plan: Plan, record: ProcessRecord | None, digest: str, watch: Stopwatch
) -> Proof | None:
    """Wait for the first step of the trainer that was started, or for the answer of the one that was asked to reload;
    None where the plan does neither."""
    from atftctl.operations.change.readiness import await_first_step, await_reload

    if plan.reload:
        with watch.part("reload"):
            return await_reload(project, observed_process.read_record(project.layout), digest, plan.changes)
    if plan.start and record:
        with watch.part("first step"):
            return await_first_step(project, record, plan.start, plan.changes)
    return None


def _operation_inputs(
    project: Project, facts: Facts, plan: Plan, rendered: Rendered, request: Request
) -> OperationInputs:
    from atftctl.apply.operation import OperationInputs
    from atftctl.operations.change.snapshot_inputs import snapshot_spec

    changed = with_new_runbook(project, rendered)
    before = configs_digest(facts.configs)
    rolled_back = plan.command == "rollback" and before != rendered.digest
    return OperationInputs(
        reason=request.reason,
        contents=rendered.contents,
        digest=rendered.digest,
        start=changed.launch(plan.start.resume) if plan.start else None,
        start_again=project.launch("last"),
        record=observed_process.read_record(project.layout),
        code=plan.code,
        quarantine=before if rolled_back else "",
        snapshot_spec=snapshot_spec(project, facts.snapshots, facts.configs),
    )


def _close(operation: Operation, proof: Proof, watch: Stopwatch) -> None:
    """Record the end of the operation. Raises InterventionNeeded where it can't be recorded."""
    unhealthy = "changed, not healthy" if operation.plan.targets else "not healthy"
    outcome = {Exit.DONE: "done", Exit.INTERRUPTED: "done, interrupted"}.get(proof.exit_code, unhealthy)
    parts = {part.name: round(part.seconds, 3) for part in watch.parts}
    seen = {"first_step": dict(proof.event)} if proof.event else {}
    seen |= {"proof": proof.data} if proof.data else {}
    try:
        operation.close(outcome, int(proof.exit_code), parts=parts, verdict=proof.problem, **seen)
    except (OSError, HostError) as error:
        raise InterventionNeeded(
            tr(
                "the change is in place, but the end of {operation} could not be recorded: {reason}",
                operation=operation.id,
                reason=reason(error),
            ),
            state=tr("the new files are in place; the operation is open"),
            hint=tr("remove the cause (a full disk?), then run: atftctl recover"),
        ) from None


def _result(project: Project, operation: Operation, watch: Stopwatch, proof: Proof) -> Result:
    plan = operation.plan
    return Result(
        plan.command,
        proof.exit_code,
        _headline(operation, proof),
        lines=tuple(_lines(operation, proof)),
        plan=plan,
        parts=tuple(watch.parts),
        contacts=() if proof.healthy else project.contacts,
        data=ChangeData(
            operation=operation.id,
            snapshot=operation.snapshot.id if operation.snapshot else None,
            changes=tuple(change.describe() for change in plan.changes),
            first_step=dict(proof.event) if proof.event else None,
            rehearsal=plan.facts.get("rehearsal"),
            proof=proof.data,
        ),
    )


def _headline(operation: Operation, proof: Proof) -> str:
    plan = operation.plan
    values = {"command": plan.command, "operation": operation.id}
    if proof.interrupted:
        problem = proof.problem or tr("interrupted after the change was decided")
        return tr("{command} {operation} completed; {problem}", problem=problem, **values)
    if proof.healthy:
        return tr("{command} {operation} done: {title}", title=plan.title, **values)
    if plan.targets:
        return tr(
            "{command} {operation} changed the files, but the trainer is not healthy: {problem}",
            problem=proof.problem,
            **values,
        )
    return tr(
        "{command} {operation} changed no file, and the trainer is not healthy: {problem}",
        problem=proof.problem,
        **values,
    )


def _lines(operation: Operation, proof: Proof) -> list[str]:
    plan, lines = operation.plan, list[str]()
    if operation.snapshot:
        lines.append(tr("the earlier files are in backups/{snapshot}", snapshot=operation.snapshot.id))
    if plan.targets:
        lines.append(tr("undo: atftctl undo {operation}", operation=operation.id))
    if not proof.healthy:
        return [*lines, *proof.lines]
    lines += proof_texts(proof.data or {})
    if proof.event:
        event, digest = proof.event, str(proof.event.get("digest"))[:12]
        lines.append(
            tr(
                "proof: step {step} of run {run} with config {digest}",
                step=event.get("step"),
                run=event.get("run_id"),
                digest=digest,
            )
        )
    lines += [tr("note: {note}", note=note) for note in plan.notes]
    if plan.start and plan.command == "rollback":
        lines.append(tr("next: atftctl verify"))
    return lines
