"""Build a plan from what should change. Its order is fixed: recovery, evidence, stop, snapshot, files, start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from atftctl.domain.errors import InterventionNeeded, Refused
from atftctl.domain.facts import Facts, Process
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.runbook import Runbook
from atftctl.domain.steps import (
    ChangeFiles,
    RecoverFirst,
    ReloadTrainer,
    SaveEvidence,
    StartTrainer,
    Step,
    StopTrainer,
    TakeSnapshot,
    Target,
)
from atftctl.domain.units import Unit, unit_of
from atftctl.protocol.messages import tr


@record
class RestartPolicy:
    """What may happen to the trainer during a change."""

    restart: bool = True
    live: bool = False  # the running trainer loads the new settings without a restart
    adopt: tuple[int, ...] = ()  # pids of manually started trainers that may be stopped
    fence: bool = False  # go on where a trainer can't be shown to have ended


def assemble(
    *,
    command: str,
    title: str,
    runbook: Runbook,
    facts: Facts,
    targets: tuple[Target, ...],
    resume: str,
    policy: RestartPolicy,
    minutes: int | None = None,
    notes: tuple[str, ...] = (),
    undo_of: str = "",
    about: dict[str, Any] | None = None,
    units: tuple[Unit, ...] = (),
) -> Plan:
    """Plan the change of `targets`, and the trainer's return from the checkpoint `resume` as `policy` says. `units`:
    places that hold no other files afterwards. Raises Refused where a trainer runs that atftctl may not stop."""
    targets = tuple(replace(target, unit=_unit_of(runbook, target)) for target in targets)
    restart = policy.restart and not policy.live
    reload = (_reload(runbook, facts.process),) if policy.live and targets else ()
    start = _start(runbook, facts.process, resume, changing=bool(targets)) if restart else ()
    stops = stops_of(runbook, facts.process, policy) if restart else ()
    kept = tuple(dict.fromkeys((*runbook.files.configs, *runbook.files.models, *(target.path for target in targets))))
    steps: tuple[Step, ...] = (
        *((RecoverFirst(facts.open_operation.remedy),) if facts.open_operation else ()),
        *((SaveEvidence(),) if targets or start else ()),
        *(stops if targets or start else ()),
        *((TakeSnapshot(kept), ChangeFiles(targets, units)) if targets else ()),
        *start,
        *reload,
    )
    if targets and not reload:
        notes += _trainer_notes(facts.process, resume, restart=restart, start=bool(start))
    return Plan(
        command=command,
        title=title,
        steps=steps,
        target_minutes=minutes,
        notes=(*facts.warnings, *notes),
        undo_of=undo_of,
        resume=resume,
        facts=about or {},
    )


def _unit_of(runbook: Runbook, target: Target) -> str:
    """The folder of a checkpoint that a file is a part of; "" for any other file."""
    places = (*runbook.files.models, runbook.checkpoints.last, runbook.checkpoints.best)
    return unit_of(places, target.path) if target.volatile else ""


def _trainer_notes(process: Process, resume: str, *, restart: bool, start: bool) -> tuple[str, ...]:
    """Say what the plan does not do with the trainer, and the operator may expect."""
    if restart and not start:
        return (
            tr(
                "this command does not start the trainer ({state}); start it with: atftctl trainer "
                "start --resume {resume}",
                state=process.state,
                resume=resume,
            ),
        )
    if not restart and process.alive:
        return (
            tr("the running trainer ({process}) keeps its old settings until it is restarted", process=process.name),
        )
    return ()


def _reload(runbook: Runbook, process: Process) -> ReloadTrainer:
    """Return the step that makes the running trainer load the settings. Raises Refused where none runs."""
    if not process.alive or not process.pid:
        raise Refused(
            tr("--live needs a running trainer, but no trainer is running ({state})", state=process.state),
            hint=tr("run this command again without --live"),
        )
    refuse_reload(process)
    return ReloadTrainer(process.pid, runbook.trainer.ready_s, process.engine)


def refuse_reload(process: Process) -> None:
    """Raise Refused for a trainer that can't be asked to load its settings: by the runbook it writes no events, and the
    running one has written none."""
    if process.ready and not process.speaks:
        raise Refused(
            tr("this trainer can't load settings while it runs: it has written no event, so it reads no requests"),
            state=tr("the trainer keeps its old settings"),
            hint=tr("run this command again without --live, or: atftctl trainer restart"),
        )


def stops_of(runbook: Runbook, process: Process, policy: RestartPolicy) -> tuple[StopTrainer, ...]:
    """Return a step for each process that must end before a trainer starts. Raises Refused where one may not be
    stopped."""
    refuse_foreign(process, policy.adopt, fence=policy.fence)
    grace_s, fence = runbook.trainer.grace_s, policy.fence
    stops = [
        StopTrainer(
            trainer.pid,
            grace_s,
            adopt_ticks=trainer.start_ticks,
            engine=trainer.engine,
            place=trainer.place,
            fence=fence,
        )
        for trainer in process.unmanaged
    ]
    if process.alive and process.pid:
        stops.append(StopTrainer(process.pid, grace_s, engine=process.engine, fence=fence))
    elif process.leftovers:
        stops.append(StopTrainer(process.leftovers[0], grace_s, leftovers=process.leftovers))
    return tuple(stops)


def refuse_unproven(process: Process, *, fence: bool) -> None:
    """Raise InterventionNeeded for a trainer of which nobody can show that it has ended; not where the operator goes on
    behind the fence. Raise Refused where whoever knows does not answer."""
    if process.unknown:
        raise Refused(
            tr(
                "the state of the trainer ({process}) is not known: {reason}",
                process=process.name,
                reason=process.unknown,
            ),
            hint=tr("run this command again later, or change only the files: --no-restart"),
        )
    if process.blocked and not fence:
        raise InterventionNeeded(
            tr(
                "the trainer may still be running, and nobody can show that it has ended: {known}",
                known=process.unproven,
            ),
            state=tr("no file has changed; no second trainer was started"),
            hint=tr(
                "look on that machine; once it is sure that the trainer has ended, or whatever it saves late may be "
                "lost, run this command again with --fence"
            ),
        )


def refuse_foreign(process: Process, adopt: tuple[int, ...] = (), *, fence: bool = False) -> None:
    """Raise Refused for trainers that atftctl may not stop.

    A manually started one may be stopped if the operator names it in `adopt`; one of another user or host never. Raise
    InterventionNeeded for one that nobody can show to have ended, unless there is a `fence`.
    """
    refuse_unproven(process, fence=fence)
    if process.where:
        raise Refused(
            tr("the trainer was started on {place}; its state can't be seen from here", place=process.where),
            hint=tr(
                "stop the trainer there (if it has ended: rm .atftctl/process.json), or change only "
                "the files: --no-restart"
            ),
        )
    for pid in adopt:
        if all(trainer.pid != pid for trainer in process.unmanaged):
            raise Refused(
                tr("pid {pid} is not a manually started trainer of this project", pid=pid),
                hint=tr("list the trainers with: atftctl trainer status"),
            )
    for trainer in process.unmanaged:
        if trainer.why_not:
            raise Refused(
                tr("a trainer is running here that atftctl does not stop: {reason}", reason=trainer.why_not),
                hint=tr("stop it yourself, or change only the files: --no-restart"),
            )
        if not trainer.ours_to_signal:
            raise Refused(
                tr(
                    "a trainer of user {user} is running here ({process}), and you have no permission to signal it",
                    user=trainer.user,
                    process=trainer.name,
                ),
                hint=tr("ask {user} to stop the trainer, or change only the files: --no-restart", user=trainer.user),
            )
        if trainer.pid not in adopt:
            raise Refused(
                tr(
                    "a manually started trainer is running here: {process}, user {user}: {command}",
                    process=trainer.name,
                    user=trainer.user,
                    command=trainer.command[:120],
                ),
                hint=tr("run this command again with --adopt {pid} to stop this trainer", pid=trainer.pid),
            )


def _start(runbook: Runbook, process: Process, resume: str, *, changing: bool) -> tuple[StartTrainer, ...]:
    """Return the step that starts the trainer: after a stop for a change, or where it died.

    A trainer that was stopped on purpose stays stopped.
    """
    stopped_for_change = changing and (process.alive or bool(process.unmanaged))
    if not (stopped_for_change or process.state == "died"):
        return ()
    rules = runbook.trainer
    return (StartTrainer(resume, rules.memory_limit_mb, rules.ready_s, rules.ready, rules.limit_of_queue_s),)
