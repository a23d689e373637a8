"""A plan from what should change: recovery first, evidence, stop, snapshot, files, start; in this order, always."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts, Process
from atftctl.domain.plan import (
    ChangeFiles,
    Plan,
    RecoverFirst,
    SaveEvidence,
    StartTrainer,
    Step,
    StopTrainer,
    TakeSnapshot,
    Target,
)
from atftctl.domain.runbook import Runbook


@dataclass(frozen=True)
class Wish:
    """How the operator wants it done."""

    restart: bool = True
    adopt: tuple[int, ...] = ()  # pids of trainers started by hand that may be stopped


def assemble(
    *,
    command: str,
    title: str,
    runbook: Runbook,
    facts: Facts,
    targets: tuple[Target, ...],
    resume: str,
    wish: Wish,
    minutes: int | None = None,
    notes: tuple[str, ...] = (),
    undo_of: str = "",
    about: dict[str, str] | None = None,
) -> Plan:
    """Raises Refused where a trainer stands in the way that is not the tool's to stop."""
    steps: list[Step] = []
    if facts.open_operation:
        steps.append(RecoverFirst(facts.open_operation.remedy))
    stops = stops_of(runbook, facts.process, wish) if wish.restart else ()
    start = _start(runbook, facts.process, wish, resume, changing=bool(targets))
    if not targets and not start:
        stops = ()
    if targets or start:
        steps.append(SaveEvidence())
    steps += stops
    if targets:
        steps.append(TakeSnapshot((*runbook.files.configs, *runbook.files.models)))
        steps.append(ChangeFiles(targets))
    if start:
        steps.append(start)
    if facts.process.alive and not wish.restart and targets:
        notes = (
            *notes,
            f"the running trainer (pid {facts.process.pid}) keeps its old settings until it is restarted",
        )
    if targets and wish.restart and not start:
        notes = (*notes, f"the trainer ({facts.process.state}) is not started; atftctl trainer start --resume {resume}")
    return Plan(
        command=command,
        title=title,
        steps=tuple(steps),
        target_minutes=minutes,
        notes=(*facts.warnings, *notes),
        undo_of=undo_of,
        facts=about or {},
    )


def stops_of(runbook: Runbook, process: Process, wish: Wish) -> tuple[StopTrainer, ...]:
    """All that must be gone before another trainer starts. Raises Refused for what is not ours to stop."""
    refuse_foreign(process, wish.adopt)
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
            then="stop it there (if it is gone: rm .atftctl/process.json), or change files alone: --no-restart",
        )
    for pid in adopt:
        if all(one.pid != pid for one in process.strangers):
            raise Refused(f"pid {pid} is no trainer of this project", then="atftctl trainer status shows the trainers")
    for one in process.strangers:
        if not one.ours_to_signal:
            raise Refused(
                f"a trainer of user {one.user} runs here (pid {one.pid}); it is not ours to signal",
                then=f"ask {one.user} to stop it; rollback can change the files alone: --no-restart",
            )
        if one.pid not in adopt:
            raise Refused(
                f"a trainer that was started by hand runs here: pid {one.pid}, {one.user}: {one.command[:120]}",
                then=f"atftctl trainer stop --adopt {one.pid}, then this again; rollback takes --adopt {one.pid} too",
            )


def _start(runbook: Runbook, process: Process, wish: Wish, resume: str, *, changing: bool) -> StartTrainer | None:
    """After a stop the trainer comes back; one that died is brought back; one stopped on purpose stays down."""
    stopped_for_change = changing and (process.alive or bool(process.strangers))
    if not wish.restart or not (stopped_for_change or process.state == "died"):
        return None
    rules = runbook.trainer
    return StartTrainer(resume=resume, memory_limit_mb=rules.memory_limit_mb, ready_s=rules.ready_s)
