"""A plan from what should change: recovery first, evidence, stop, snapshot, files, start; in this order, always."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts, Process
from atftctl.domain.plan import Plan
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


@dataclass(frozen=True)
class RestartPolicy:
    """How the operator wants it done."""

    restart: bool = True
    live: bool = False  # the running trainer takes settings up without a restart
    adopt: tuple[int, ...] = ()  # pids of trainers started by hand that may be stopped


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
    about: dict[str, str] | None = None,
) -> Plan:
    """Raises Refused where a trainer stands in the way that is not the tool's to stop."""
    restart = policy.restart and not policy.live
    reload = (_reload(runbook, facts.process),) if policy.live and targets else ()
    start = _start(runbook, facts.process, resume, changing=bool(targets)) if restart else ()
    stops = stops_of(runbook, facts.process, policy) if restart else ()
    kept = tuple(dict.fromkeys((*runbook.files.configs, *runbook.files.models, *(one.path for one in targets))))
    steps: tuple[Step, ...] = (
        *((RecoverFirst(facts.open_operation.remedy),) if facts.open_operation else ()),
        *((SaveEvidence(),) if targets or start else ()),
        *(stops if targets or start else ()),
        *((TakeSnapshot(kept), ChangeFiles(targets)) if targets else ()),
        *start,
        *reload,
    )
    if targets and restart and not start:
        notes = (*notes, f"the trainer ({facts.process.state}) is not started; atftctl trainer start --resume {resume}")
    elif targets and not restart and not reload and facts.process.alive:
        words = f"the running trainer (pid {facts.process.pid}) keeps its old settings until it is restarted"
        notes = (*notes, words)
    return Plan(
        command=command,
        title=title,
        steps=steps,
        target_minutes=minutes,
        notes=(*facts.warnings, *notes),
        undo_of=undo_of,
        facts=about or {},
    )


def _reload(runbook: Runbook, process: Process) -> ReloadTrainer:
    """Raises Refused where nobody is there to take it up."""
    if not process.alive or not process.pid:
        raise Refused(f"no trainer of ours runs that could take it up ({process.state})", hint="run it without --live")
    return ReloadTrainer(process.pid, runbook.trainer.ready_s)


def stops_of(runbook: Runbook, process: Process, policy: RestartPolicy) -> tuple[StopTrainer, ...]:
    """All that must be gone before another trainer starts. Raises Refused for what is not ours to stop."""
    refuse_foreign(process, policy.adopt)
    grace_s = runbook.trainer.grace_s
    stops = [StopTrainer(one.pid, grace_s, adopt_ticks=one.start_ticks) for one in process.strangers]
    if process.alive and process.pid:
        stops.append(StopTrainer(process.pid, grace_s))
    elif process.leftovers:
        stops.append(StopTrainer(process.leftovers[0], grace_s, leftovers=process.leftovers))
    return tuple(stops)


def refuse_foreign(process: Process, adopt: tuple[int, ...] = ()) -> None:
    """A trainer started by hand is stopped where the operator names it; one of others, or elsewhere, never."""
    if process.where:
        raise Refused(
            f"the trainer was started on {process.where}, and can't be seen from here",
            hint="stop it there (if it is gone: rm .atftctl/process.json), or change files alone: --no-restart",
        )
    for pid in adopt:
        if all(one.pid != pid for one in process.strangers):
            raise Refused(f"pid {pid} is no trainer of this project", hint="atftctl trainer status shows the trainers")
    for one in process.strangers:
        if not one.ours_to_signal:
            raise Refused(
                f"a trainer of user {one.user} runs here (pid {one.pid}); it is not ours to signal",
                hint=f"ask {one.user} to stop it; rollback can change the files alone: --no-restart",
            )
        if one.pid not in adopt:
            raise Refused(
                f"a trainer that was started by hand runs here: pid {one.pid}, {one.user}: {one.command[:120]}",
                hint=f"atftctl trainer stop --adopt {one.pid}, then this again; rollback takes --adopt {one.pid} too",
            )


def _start(runbook: Runbook, process: Process, resume: str, *, changing: bool) -> tuple[StartTrainer, ...]:
    """After a stop the trainer comes back; one that died is brought back; one stopped on purpose stays down."""
    stopped_for_change = changing and (process.alive or bool(process.strangers))
    if not (stopped_for_change or process.state == "died"):
        return ()
    rules = runbook.trainer
    return (StartTrainer(resume=resume, memory_limit_mb=rules.memory_limit_mb, ready_s=rules.ready_s),)
