"""`trainer start`, `stop` and `restart`: change the trainer's process, and no file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from atftctl.apply import trainer_process
from atftctl.decide.plans.builder import RestartPolicy, refuse_foreign, refuse_unproven, stops_of
from atftctl.domain.errors import Interrupted, InterventionNeeded, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.proof import proof_texts
from atftctl.domain.result import Data, Result
from atftctl.domain.steps import StartTrainer, StopTrainer
from atftctl.host.errors import HostError
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change import settings_check
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.proof import Proof
from atftctl.operations.change.readiness import await_first_step
from atftctl.operations.project import Project, now, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process import saved
from atftctl.operations.trainer_process.audit import log
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state import process_record
from atftctl.state.engines.choice import engine_of

Adopt = tuple[int, ...]
UNHEALTHY = tr("next: atftctl status; the trainer's own output: atftctl logs")


@dataclass(frozen=True)
class StartedData(Data):
    """A trainer that was started. pid: its process id. run_id: the id of its run. generation: the number of its start.
    first_step: the event of its first step; where there was none, the event that ended it. proof: what proves that it
    is healthy, as in `proof` of an operation; null where nothing does."""

    pid: int
    run_id: str
    generation: int
    first_step: Mapping[str, Any]
    proof: Mapping[str, Any] | None = None


def start(project: Project, resume: str, request: Request) -> Result:
    """Start the trainer and wait for its first step. Raises Refused where it is already running."""
    command = "trainer start"

    def decide() -> Plan:
        facts = observe(project)
        refuse_unproven(facts.process, fence=False)
        if facts.process.waiting:
            raise Refused(
                tr(
                    "the trainer was already submitted ({process}) and waits in the queue: {reason}",
                    process=facts.process.name,
                    reason=facts.process.waiting,
                ),
                hint=tr("wait for it (atftctl trainer status), or take it back: atftctl trainer stop"),
            )
        if facts.process.alive:
            raise Refused(
                tr("the trainer is already running, {process}", process=facts.process.name),
                hint="atftctl trainer restart",
            )
        return _plan_start(project, command, facts, resume, RestartPolicy())

    return perform(project, Action(command, decide, partial(_stop_and_start, project, request)), request)


def stop(project: Project, adopt: Adopt, request: Request, *, fence: bool = False) -> Result:
    """Stop the trainer and what is left of a dead run. `adopt`: pids of manually started trainers to stop, too.
    `fence`: go on where a trainer can't be shown to have ended."""
    command = "trainer stop"

    def decide() -> Plan:
        stops = stops_of(project.runbook, observe(project).process, RestartPolicy(adopt=adopt, fence=fence))
        title = tr("stop the trainer") if stops else tr("no trainer is running")
        return Plan(command, title, stops)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        silent, asked = not observe(project).process.speaks, time.time()
        _mark_stopped(project)
        headline = joined("; ", [_stop(project, step, request, watch) for step in plan.stops])
        warnings = log(project, command, request, headline) if plan.stops else ()
        data, text = saved.since(project, asked) if silent and plan.stops else (saved.StoppedData(), "")
        return Result(
            command,
            Exit.DONE,
            headline or tr("no trainer is running"),
            lines=(*filter(None, [text]), *warnings),
            data=data,
            parts=tuple(watch.parts),
        )

    return perform(project, Action(command, decide, act), request)


def restart(project: Project, resume: str, adopt: Adopt, request: Request, *, fence: bool = False) -> Result:
    """Stop the trainer where one is running, start it, and wait for its first step."""
    command = "trainer restart"

    def decide() -> Plan:
        return _plan_start(project, command, observe(project), resume, RestartPolicy(adopt=adopt, fence=fence))

    return perform(project, Action(command, decide, partial(_stop_and_start, project, request)), request)


def _plan_start(project: Project, command: str, facts: Facts, resume: str, policy: RestartPolicy) -> Plan:
    """Raises Refused where the trainer may not be started, or would not train with its settings."""
    refuse_foreign(facts.process, policy.adopt, fence=policy.fence)
    require_readable(project, facts.configs)
    rules = project.runbook.trainer
    warning = settings_check.require_valid(project)
    return Plan(
        command,
        tr("start the trainer from {resume}", resume=resume),
        (
            *stops_of(project.runbook, facts.process, policy),
            StartTrainer(resume, rules.memory_limit_mb, rules.ready_s, rules.ready, rules.limit_of_queue_s),
        ),
        notes=(warning,) if warning else (),
        facts={"digest": digest(facts.configs)},
    )


def _stop_and_start(project: Project, request: Request, plan: Plan, watch: Stopwatch) -> Result:
    for step in plan.stops:
        request.report.note(_stop(project, step, request, watch))
    return _start(project, plan, request, watch)


def _mark_stopped(project: Project) -> None:
    """Record that the trainer is to stay stopped; before the first signal, so that a crash does not lose it."""
    record = observed.read_record(project.layout)
    if record and record.wanted == "running":
        process_record.mark_stopped(project.layout, record)


def _stop(project: Project, step: StopTrainer, request: Request, watch: Stopwatch) -> str:
    """Stop a trainer, and say so. Raises Interrupted, InterventionNeeded."""
    record = None if step.adopt_ticks else observed.read_record(project.layout)
    identity = _identity(project, step, record)
    if identity is None:
        return tr("no trainer is running")
    try:
        with watch.part("stop"):
            killed = trainer_process.stop(
                project.layout,
                record,
                identity,
                grace_s=step.grace_s,
                note=request.report.note,
                adopted=bool(step.adopt_ticks),
                fenced=step.fence,
            )
    except KeyboardInterrupt:
        raise Interrupted(
            tr("interrupted while the trainer was stopping, {process}", process=identity.name),
            state=tr("the trainer was asked to stop and may still be running"),
            hint="atftctl trainer stop",
        ) from None
    if not killed:
        return tr("stopped the trainer, {process}", process=step.name)
    return trn(
        "stopped the trainer, {process}; {count} process had to be killed",
        "stopped the trainer, {process}; {count} processes had to be killed",
        len(killed),
        process=step.name,
    )


def _identity(project: Project, step: StopTrainer, record: ProcessRecord | None) -> TrainerIdentity | None:
    """Return the process to stop; None where there is none."""
    if step.adopt_ticks:
        return step.adopted
    if record:
        return engine_of(record).find(project.layout, record) or record.identity
    return None


def _start(project: Project, plan: Plan, request: Request, watch: Stopwatch) -> Result:
    """Start the trainer, wait for its first step, record it. Raises InterventionNeeded where it can't be started."""
    step = plan.start
    if step is None:
        raise AssertionError("a plan that starts the trainer has a step for it")
    try:
        with watch.part("start"):
            record = _launch(project, plan, step)
    except (OSError, HostError) as error:
        log(project, plan.command, request, str(error), Exit.CHECK_FAILED)
        cannot_run = "can't start" in str(error)
        raise InterventionNeeded(
            str(error),
            state=tr("no trainer is running"),
            hint=tr("correct trainer.command in the runbook")
            if cannot_run
            else tr("remove the cause, then run this command again"),
        ) from None
    with watch.part("first step"):
        proof = await_first_step(project, record, step)
    record = observed.read_record(project.layout) or record  # a launcher may have put the trainer into the background
    title = proof.problem or tr("started {process}", process=record.name)
    warnings = log(
        project, plan.command, request, title, proof.exit_code, generation=record.generation, proof=proof.data
    )
    return _started(project, plan, record, proof, warnings, watch)


def _launch(project: Project, plan: Plan, step: StartTrainer) -> ProcessRecord:
    """Raises Refused where the runbook names no command; OSError, HostError."""
    launch = project.launch(step.resume)
    if launch is None:
        raise Refused(tr("the runbook names no command that starts the trainer"))
    return trainer_process.start(project.layout, launch, digest=str(plan.facts["digest"]), now=now())


def _started(
    project: Project,
    plan: Plan,
    record: ProcessRecord,
    proof: Proof,
    warnings: tuple[str, ...],
    watch: Stopwatch,
) -> Result:
    event = proof.event or {}
    notes = tuple(tr("warning: {note}", note=note) for note in plan.notes)
    evidence = proof_texts(proof.data or {}) or [
        tr("proof: step {step} with config {digest}", step=event.get("step"), digest=str(event.get("digest"))[:12])
    ]
    unhealthy = (*proof.lines, UNHEALTHY)
    return Result(
        plan.command,
        proof.exit_code,
        tr("the trainer is running, {process}", process=record.name) if proof.healthy else proof.problem,
        lines=(*notes, *(evidence if proof.healthy else unhealthy), *warnings),
        data=StartedData(record.pid, record.run_id, record.generation, dict(event), proof.data),
        parts=tuple(watch.parts),
        contacts=() if proof.healthy else project.contacts,
    )
