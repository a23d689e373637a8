"""A plan from what should change: recovery first, evidence, stop, snapshot, files, start; in this order, always."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.domain.errors import Refused
from atftctl.domain.facts import Facts, Process, Stranger
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
    adopt: int = 0  # the pid of a trainer started by hand that may be stopped
    start_if_died: bool = True
    restart_unchanged: bool = False  # restart even where no file changes


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
    stop = _stop(runbook, facts.process, wish) if (targets or wish.restart_unchanged) else None
    start = _start(runbook, facts.process, wish, resume, stopping=stop is not None)
    if targets or start:
        steps.append(SaveEvidence())
    if stop:
        steps.append(stop)
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
    return Plan(
        command=command,
        title=title,
        steps=tuple(steps),
        target_minutes=minutes,
        notes=(*facts.warnings, *notes),
        undo_of=undo_of,
        facts=about or {},
    )


def _stop(runbook: Runbook, process: Process, wish: Wish) -> StopTrainer | None:
    if not wish.restart:
        return None
    stranger = find_stranger(process, wish.adopt)
    if stranger:
        return StopTrainer(stranger.pid, runbook.trainer.grace_s, adopt_ticks=stranger.start_ticks)
    if process.alive and process.pid:
        return StopTrainer(process.pid, runbook.trainer.grace_s)
    return None


def find_stranger(process: Process, adopt: int) -> Stranger | None:
    """A trainer started by hand: named by the operator it is stopped, else the plan is refused and names it."""
    if adopt and all(one.pid != adopt for one in process.strangers):
        raise Refused(f"pid {adopt} is no trainer of this project", then="atftctl trainer status shows the trainers")
    for one in process.strangers:
        if not one.ours_to_signal:
            raise Refused(
                f"a trainer of user {one.user} runs here (pid {one.pid}); it is not ours to signal",
                then=f"ask {one.user} to stop it, or change the files only: --no-restart",
            )
        if one.pid != adopt:
            raise Refused(
                f"a trainer that was started by hand runs here: pid {one.pid}, {one.user}: {one.command[:120]}",
                then=f"let it be stopped: --adopt {one.pid}; or change the files only: --no-restart",
            )
    return next((one for one in process.strangers if one.pid == adopt), None)


def _start(runbook: Runbook, process: Process, wish: Wish, resume: str, *, stopping: bool) -> StartTrainer | None:
    """After a stop the trainer comes back; one that died is brought back; one stopped on purpose stays down."""
    if not wish.restart or not (stopping or (process.state == "died" and wish.start_if_died)):
        return None
    rules = runbook.trainer
    return StartTrainer(resume=resume, memory_limit_mb=rules.memory_limit_mb, ready_s=rules.ready_s)
