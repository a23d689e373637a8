"""`trainer start|stop|restart|status`: the process by itself, with no change to any file."""

from __future__ import annotations

from functools import partial

from atftctl.apply import trainer_process
from atftctl.decide.plans.builder import RestartPolicy, refuse_foreign, stops_of
from atftctl.domain.errors import Interrupted, InterventionNeeded, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.result import Result
from atftctl.domain.steps import StartTrainer, StopTrainer
from atftctl.domain.text import counted
from atftctl.host.errors import HostError
from atftctl.host.process import table as procs
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change import settings_check
from atftctl.operations.change.change import Action
from atftctl.operations.change.perform import perform
from atftctl.operations.change.readiness import await_proof
from atftctl.operations.project import Project, now, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process.audit import log
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr
from atftctl.state import process_record

Adopt = tuple[int, ...]
UNHEALTHY = tr("next: atftctl status; the trainer's own output is in logs/training.log and logs/trainer.out")


def start(project: Project, resume: str, request: Request) -> Result:
    """Start the trainer and wait for its first step. Raises Refused where one runs already."""
    command = "trainer start"

    def decide() -> Plan:
        facts = observe(project)
        if facts.process.alive:
            raise Refused(
                tr("the trainer is already running, pid {pid}", pid=facts.process.pid), hint="atftctl trainer restart"
            )
        return _plan_start(project, command, facts, resume, ())

    return perform(project, Action(command, decide, partial(_stop_and_start, project, request)), request)


def stop(project: Project, adopt: Adopt, request: Request) -> Result:
    """Stop the trainer and what is left of a dead run. `adopt`: pids of manually started trainers to stop, too."""
    command = "trainer stop"

    def decide() -> Plan:
        stops = stops_of(project.runbook, observe(project).process, RestartPolicy(adopt=adopt))
        title = tr("stop the trainer") if stops else tr("no trainer is running")
        return Plan(command, title, stops)

    def act(plan: Plan, watch: Stopwatch) -> Result:
        _on_purpose(project)
        done = joined("; ", [_stop(project, step, request, watch) for step in plan.stops])
        lines = log(project, command, request, done) if plan.stops else ()
        headline = done or tr("no trainer is running")
        return Result(command, Exit.DONE, headline, lines=lines, parts=tuple(watch.parts))

    return perform(project, Action(command, decide, act), request)


def restart(project: Project, resume: str, adopt: Adopt, request: Request) -> Result:
    """Stop the trainer where one is running, start it, and wait for its first step."""
    command = "trainer restart"

    def decide() -> Plan:
        return _plan_start(project, command, observe(project), resume, adopt)

    return perform(project, Action(command, decide, partial(_stop_and_start, project, request)), request)


def _plan_start(project: Project, command: str, facts: Facts, resume: str, adopt: Adopt) -> Plan:
    """Raises Refused where the trainer may not be started, or would not train with its settings."""
    refuse_foreign(facts.process, adopt)
    require_readable(project, facts.configs)
    rules = project.runbook.trainer
    warning = settings_check.require(project)
    return Plan(
        command,
        tr("start the trainer from {resume}", resume=resume),
        (
            *stops_of(project.runbook, facts.process, RestartPolicy(adopt=adopt)),
            StartTrainer(resume, rules.memory_limit_mb, rules.ready_s),
        ),
        notes=(warning,) if warning else (),
        facts={"digest": digest(facts.configs)},
    )


def _stop_and_start(project: Project, request: Request, plan: Plan, watch: Stopwatch) -> Result:
    for step in plan.stops:
        request.report.note(_stop(project, step, request, watch))
    return _start(project, plan, request, watch)


def _on_purpose(project: Project) -> None:
    """From now on it is down on purpose: written before the first signal, so that no crash forgets it."""
    record = observed.read_record(project.layout)
    if record and record.wanted == "running":
        process_record.mark_stopped(project.layout, record)


def _stop(project: Project, step: StopTrainer, request: Request, watch: Stopwatch) -> str:
    record = None if step.adopt_ticks else observed.read_record(project.layout)
    if step.adopt_ticks:
        who = procs.Identity(step.pid, step.adopt_ticks, procs.boot_id())
    elif record:
        who = observed.identity(project.layout, record) or procs.Identity(record.pid, record.ticks, record.boot)
    else:
        return "no trainer runs"
    try:
        with watch.part("stop"):
            killed = trainer_process.stop(
                project.layout,
                record,
                who,
                grace_s=step.grace_s,
                note=request.report.note,
                adopted=bool(step.adopt_ticks),
            )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted while pid {who.pid} was stopping",
            state="it was asked to stop, and may still be running",
            hint="atftctl trainer stop, again",
        ) from None
    by_force = f"; {counted(len(killed), 'process', 'processes')} had to be killed" if killed else ""
    return f"stopped the trainer, pid {step.pid}{by_force}"


def _start(project: Project, plan: Plan, request: Request, watch: Stopwatch) -> Result:
    step = plan.start
    if step is None:
        raise AssertionError("a plan that starts the trainer has a step for it")
    try:
        with watch.part("start"):
            launch = project.launch(step.resume)
            if launch is None:
                raise Refused(tr("the runbook names no command that starts the trainer"))
            record = trainer_process.start(project.layout, launch, digest=str(plan.facts["digest"]), now=now())
    except (OSError, HostError) as error:
        log(project, plan.command, request, str(error), Exit.CHECK_FAILED)
        raise InterventionNeeded(
            str(error),
            state=tr("no trainer is running"),
            hint=tr("correct trainer.command in the runbook")
            if "can't start" in str(error)
            else tr("remove the cause, then run this command again"),
        ) from None
    with watch.part("first step"):
        proof = await_proof(project, record, step)
    started = proof.words or tr("started pid {pid}", pid=record.pid)
    logged = log(project, plan.command, request, started, proof.exit_code)
    seen = proof.seen or {}
    shown = tr("proof: step {step} with config {digest}", step=seen.get("step"), digest=str(seen.get("digest"))[:12])
    warnings = tuple(tr("warning: {note}", note=note) for note in plan.notes)
    return Result(
        plan.command,
        proof.exit_code,
        tr("the trainer is running, pid {pid}", pid=record.pid) if proof.healthy else proof.words,
        lines=(*warnings, shown if proof.healthy else UNHEALTHY, *logged),
        data={"pid": record.pid, "run_id": record.run_id, "first_step": dict(seen)},
        parts=tuple(watch.parts),
        contacts=() if proof.healthy else project.contacts,
    )
