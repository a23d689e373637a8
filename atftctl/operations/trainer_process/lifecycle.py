"""`trainer start|stop|restart|status`: the process by itself, with no change to any file."""

from __future__ import annotations

from atftctl.apply import trainer_process
from atftctl.decide.plans.builder import RestartPolicy, refuse_foreign, stops_of
from atftctl.domain.errors import Interrupted, InterventionNeeded, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.result import Result
from atftctl.domain.steps import StartTrainer, StopTrainer
from atftctl.domain.text import counted
from atftctl.host.errors import HostError
from atftctl.host.process import table as procs
from atftctl.observe.configs import digest
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.change import settings_check
from atftctl.operations.change.project_lock import locked
from atftctl.operations.change.readiness import await_proof
from atftctl.operations.project import Project, now, observe, require_readable
from atftctl.operations.request import Request, Stopwatch
from atftctl.operations.trainer_process.audit import log
from atftctl.protocol import Exit
from atftctl.state import process_record

Adopt = tuple[int, ...]
UNHEALTHY = "next: atftctl status; its words are in logs/training.log and logs/trainer.out"


def start(project: Project, resume: str, request: Request) -> Result:
    if request.dry_run:
        _may_start(project, observe(project), ())
        warned = _warned(settings_check.require(project))
        return Result("trainer start", Exit.DONE, f"dry run: would start the trainer from {resume}", lines=warned)
    watch = Stopwatch(request.report)
    with locked(project, "trainer start", request):
        facts = observe(project)  # after recovery, which may have started one
        if facts.process.alive:
            raise Refused(f"the trainer runs already, pid {facts.process.pid}", hint="atftctl trainer restart")
        _may_start(project, facts, ())
        checked = settings_check.require(project)
        for step in stops_of(project.runbook, facts.process, RestartPolicy()):  # what a dead run left behind
            _stop(project, step, request, watch)
        return _start(project, facts, resume, request, watch, "trainer start", checked)


def stop(project: Project, adopt: Adopt, request: Request) -> Result:
    if request.dry_run:
        stops = stops_of(project.runbook, observe(project).process, RestartPolicy(adopt=adopt))
        words = "; ".join(step.describe() for step in stops) or "no trainer runs"
        return Result("trainer stop", Exit.DONE, f"dry run: would {words}" if stops else f"dry run: {words}")
    watch = Stopwatch(request.report)
    with locked(project, "trainer stop", request):
        stops = stops_of(project.runbook, observe(project).process, RestartPolicy(adopt=adopt))
        _on_purpose(project)
        words = "; ".join(_stop(project, step, request, watch) for step in stops)
        told = log(project, "trainer stop", request, words) if stops else ()
    return Result("trainer stop", Exit.DONE, words or "no trainer runs", lines=told, parts=tuple(watch.parts))


def restart(project: Project, resume: str, adopt: Adopt, request: Request) -> Result:
    if request.dry_run:
        facts = observe(project)
        _may_start(project, facts, adopt)
        warned = _warned(settings_check.require(project))
        steps = [step.describe() for step in stops_of(project.runbook, facts.process, RestartPolicy(adopt=adopt))]
        words = "; ".join([*steps, f"start the trainer from {resume}"])
        return Result("trainer restart", Exit.DONE, f"dry run: would {words}", lines=warned)
    watch = Stopwatch(request.report)
    with locked(project, "trainer restart", request):
        facts = observe(project)
        _may_start(project, facts, adopt)
        checked = settings_check.require(project)
        for step in stops_of(project.runbook, facts.process, RestartPolicy(adopt=adopt)):
            request.report.note(_stop(project, step, request, watch))
        return _start(project, facts, resume, request, watch, "trainer restart", checked)


def _may_start(project: Project, facts: Facts, adopt: Adopt) -> None:
    refuse_foreign(facts.process, adopt)
    require_readable(project, facts.configs)


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


def _start(
    project: Project, facts: Facts, resume: str, request: Request, watch: Stopwatch, command: str, checked: str
) -> Result:
    rules = project.runbook.trainer
    try:
        with watch.part("start"):
            launch = project.launch(resume)
            if launch is None:
                raise Refused("the runbook names no command that starts the trainer")
            record = trainer_process.start(project.layout, launch, digest=digest(facts.configs), now=now())
    except (OSError, HostError) as error:
        log(project, command, request, str(error), Exit.CHECK_FAILED)
        then = (
            "mend trainer.command in the runbook"
            if "can't start" in str(error)
            else "remove the cause, then run it again"
        )
        raise InterventionNeeded(str(error), state="no trainer runs", hint=then) from None
    with watch.part("first step"):
        proof = await_proof(project, record, StartTrainer(resume, rules.memory_limit_mb, rules.ready_s))
    told = log(project, command, request, proof.words or f"started pid {record.pid}", proof.exit_code)
    seen = proof.seen or {}
    lines = (f"proof: step {seen.get('step')} with config {str(seen.get('digest'))[:12]}",)
    return Result(
        command,
        proof.exit_code,
        f"the trainer runs, pid {record.pid}" if proof.healthy else proof.words,
        lines=(*_warned(checked), *(lines if proof.healthy else (UNHEALTHY,)), *told),
        data={"pid": record.pid, "run_id": record.run_id, "first_step": dict(proof.seen or {})},
        parts=tuple(watch.parts),
        contacts=() if proof.healthy else project.contacts,
    )


def _warned(checked: str) -> tuple[str, ...]:
    return (f"warning: {checked}",) if checked else ()
