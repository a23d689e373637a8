"""The one way in which anything changes: observe, decide, show, ask, lock, recover, apply, prove. Every verb goes
through it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from atftctl.domain.errors import DiskFull, InterventionNeeded, Refused
from atftctl.domain.facts import Facts, Process
from atftctl.domain.plan import Plan, with_notes
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.result import ChangeData, Result
from atftctl.host.errors import HostError, reason
from atftctl.host.files.reading import read_bytes
from atftctl.observe.configs import digest as configs_digest
from atftctl.observe.runbook import load as observed_runbook
from atftctl.observe.runbook.binder import refuse
from atftctl.observe.trainer_run import process as observed_process
from atftctl.operations.change import settings_check
from atftctl.operations.change.change import Change
from atftctl.operations.change.preview import Rendered, again_rendered, render
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now, observe
from atftctl.operations.request import Request, Stopwatch, review
from atftctl.protocol import Exit

if TYPE_CHECKING:
    from atftctl.apply.operation import Operation, OperationInputs
    from atftctl.operations.change.readiness import Proof

# What only applying needs is imported by the functions that apply: a dry run is there in a third less time.


def carry_out(project: Project, change: Change, request: Request) -> Result:
    """Observe and decide, show the plan, ask, then do exactly what was shown. Raises AtftError for every other end."""
    watch = Stopwatch(request.report)
    with watch.part("decide"):
        facts, plan = _decide(project, change)
        rendered = render(project, plan, check_copies=bool(plan.stops), given=change.contents)
        plan = with_notes(plan, (*rendered.notes, *settings_check.ask(project, plan, rendered)))
    if any(target.snapshot for target in plan.targets):
        from atftctl.operations.change import free_space

        free_space.for_restore(project, plan, facts.snapshots)
    if dry_run := review(plan, request, rendered.diff, watch.parts):
        return dry_run
    from atftctl.state import reserve

    for attempt in (1, 2):
        try:
            with locked(project, plan.command, request):
                facts, again = _decide(project, change)
                if not _same_change(plan, again):
                    raise Refused(
                        "the files changed after the plan was shown, or a trainer was started",
                        hint="run it again and look at the new plan",
                    )
                return _apply(project, facts, again, again_rendered(project, rendered), request, watch)
        except DiskFull:
            if attempt == 2 or not reserve.release(project.layout):
                raise
            request.report.note("the disk is full: using the reserve")
    raise AssertionError("unreachable")


def _decide(project: Project, change: Change) -> tuple[Facts, Plan]:
    change.check()
    facts = observe(project, change.digests_of)
    return facts, change.decide(facts)


def _same_change(shown: Plan, found: Plan) -> bool:
    """The same files with the same content, and nobody stopped who was not shown.

    That a trainer died, or a crash was cleaned up in between, is no other change.
    """
    return shown.targets == found.targets and {one.pid for one in found.stops} <= {one.pid for one in shown.stops}


def _apply(
    project: Project, facts: Facts, plan: Plan, rendered: Rendered, request: Request, watch: Stopwatch
) -> Result:
    from atftctl.apply.operation import Operation
    from atftctl.host.process.interrupts import deferred
    from atftctl.operations.change.failure import ended_badly
    from atftctl.operations.change.readiness import Proof, await_echo, await_proof

    report = request.report
    operation = Operation(
        project.layout, plan, _order(project, facts, plan, rendered, request), now(), report.note, report.progress
    )
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
            record, words = _start(operation, watch)
    except BaseException as error:
        raise ended_badly(operation, error) from error
    proof = Proof(healthy=not words, words=words, interrupted=held.interrupted)
    if record and plan.start and not held.interrupted:
        with watch.part("first step"):
            proof = await_proof(project, record, plan.start, plan.changes)
    if plan.reload and not held.interrupted:
        with watch.part("reload"):
            proof = await_echo(project, observed_process.read_record(project.layout), rendered.digest, plan.changes)
    exit_code = proof.exit_code
    unhealthy = "changed, not healthy" if plan.targets else "not healthy"
    outcome = {Exit.DONE: "done", Exit.INTERRUPTED: "done, interrupted"}.get(exit_code, unhealthy)
    _close(operation, outcome, exit_code, watch, proof)
    return _result(project, operation, plan, watch, proof)


def _prepare(project: Project, process: Process, operation: Operation, watch: Stopwatch, diff: tuple[str, ...]) -> None:
    """All before the decision: evidence, stop, snapshot. Whatever ends it here is put back."""
    from atftctl.decide.verdicts.crash_cause import cause
    from atftctl.observe.evidence import collect

    plan = operation.plan
    with watch.part("evidence"):
        found = collect(project.layout, project.runbook.files.configs, process)
        diagnosis = (
            cause(process.last_event) if process.last_event and not process.alive else f"trainer {process.state}"
        )
        operation.open(
            {
                **found,
                "change.diff": "\n".join(diff).encode("utf-8", "surrogateescape"),
                "diagnosis.txt": f"{diagnosis}\n".encode(),
            }
        )
    if plan.stops:
        with watch.part("stop"):
            operation.stop()
    if plan.snapshot:
        with watch.part("snapshot"):
            operation.take_snapshot()


def _start(operation: Operation, watch: Stopwatch) -> tuple[ProcessRecord | None, str]:
    """The new trainer, or why there is none: the new settings stay (the old ones were the fault)."""
    if not operation.plan.start:
        return None, ""
    with watch.part("start"):
        try:
            return operation.start(), ""
        except (OSError, HostError) as error:
            return None, str(error)


def _order(project: Project, facts: Facts, plan: Plan, rendered: Rendered, request: Request) -> OperationInputs:
    from atftctl.apply.operation import OperationInputs
    from atftctl.operations.change.snapshot_inputs import taking

    record = observed_process.read_record(project.layout)
    then = _as_it_will_stand(project, rendered)
    before = configs_digest(facts.configs)
    rolled_back = plan.command == "rollback" and before != rendered.digest
    return OperationInputs(
        reason=request.reason,
        contents=rendered.contents,
        digest=rendered.digest,
        start=then.launch(plan.start.resume) if plan.start else None,
        start_again=project.launch("last"),
        record=record,
        code=plan.code,
        quarantine=before if rolled_back else "",
        snapshot_spec=taking(project, facts.snapshots, facts.configs),
    )


def _as_it_will_stand(project: Project, rendered: Rendered) -> Project:
    """With the runbook that the change brings, where it brings one: the trainer is started by that."""
    content = rendered.contents.get(str(project.layout.runbook.relative_to(project.layout.root)))
    if content is None:
        return project
    data = content if isinstance(content, bytes) else read_bytes(content)
    found = observed_runbook.parse(project.layout, data)
    refuse(list(found.problems))
    return replace(project, runbook=found.runbook)


def _close(operation: Operation, outcome: str, exit_code: Exit, watch: Stopwatch, proof: Proof) -> None:
    parts = {part.name: round(part.seconds, 3) for part in watch.parts}
    seen = {"first_step": dict(proof.seen)} if proof.seen else {}
    try:
        operation.close(outcome, int(exit_code), parts=parts, verdict=proof.words, **seen)
    except (OSError, HostError) as error:
        raise InterventionNeeded(
            f"all is in place, but the end of {operation.id} could not be recorded: {reason(error)}",
            state="the new files stand; the operation stays open",
            hint="remove the cause (a full disk?), then: atftctl recover",
        ) from None


def _result(project: Project, operation: Operation, plan: Plan, watch: Stopwatch, proof: Proof) -> Result:
    lines = []
    if operation.snapshot:
        lines.append(f"what stood before is in backups/{operation.snapshot.id}")
    if plan.targets:
        lines.append(f"undo: atftctl undo {operation.id}")
    if proof.seen and proof.healthy:
        step, digest = proof.seen.get("step"), str(proof.seen.get("digest"))[:12]
        lines.append(f"proof: step {step} of run {proof.seen.get('run_id')} with config {digest}")
    if proof.healthy:
        lines += [f"note: {note}" for note in plan.notes]
    if proof.healthy and plan.start and plan.command == "rollback":
        lines.append("next: atftctl verify")
    headline = f"{plan.command} {operation.id} done: {plan.title}"
    if proof.interrupted:
        headline = f"{plan.command} {operation.id} completed; {proof.words or 'interrupted after the decision'}"
    elif not proof.healthy:
        did = "changed the files" if plan.targets else "changed no file"
        headline = f"{plan.command} {operation.id} {did}, and the trainer is not healthy: {proof.words}"
    return Result(
        plan.command,
        proof.exit_code,
        headline,
        lines=tuple(lines),
        plan=plan,
        parts=tuple(watch.parts),
        contacts=() if proof.healthy else project.contacts,
        data=ChangeData(
            operation=operation.id,
            snapshot=operation.snapshot.id if operation.snapshot else None,
            changes=tuple(change.describe() for change in plan.changes),
            first_step=dict(proof.seen) if proof.seen else None,
        ),
    )
