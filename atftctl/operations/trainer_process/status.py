"""`trainer status`: the trainer as recorded, and manually started trainers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.engines import LOCAL
from atftctl.domain.facts import Process
from atftctl.domain.result import Data, Result
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.project import Project
from atftctl.operations.report.health import silence
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr


@dataclass(frozen=True)
class ManualTrainer(Data):
    """A trainer of this project that was started by hand.

    pid: its process id, or the number under which its engine runs it. user: who runs it. command: its command line.
    why_not: why atftctl does not stop it, "" where --adopt may name it.
    """

    pid: int
    user: str
    command: str
    why_not: str = ""


@dataclass(frozen=True)
class TrainerStatusData(Data):
    """The trainer.

    state: never started, waiting (in a queue), starting, running, stopping, stopped, finished, died, lost (not known
    to have ended), unknown or elsewhere (on another host). engine: what runs it, by `trainer.engine` of the runbook.
    pid: its process id, or the number under which its engine runs it; null where none is recorded. waiting: why it
    waits in the queue. unknown: why its state can't be asked. unproven: who, where, since when, of one that is not
    known to have ended. remark: what contradicts its signs of life. run_id: the id of its run. generation: the number
    of its start, 0 where that is not known. step: its last training step.
    digest: the digest of the config that it runs with. memory_mb: its memory in MB, mapped files not counted.
    section: what it is doing: start, step, evaluate, save or reload. silent_s: seconds since its last sign of life,
    null where that is not too long ago. where: the host or container that it was started on, empty for this one.
    leftovers: ids of processes of a dead run that are still running. last_event: the last event that it wrote; where it
    wrote none and its exit code is known, `exited` with `exit_code`, negative for the signal that killed it.
    proof: the kind of proof that it is healthy, of a trainer that writes no events; "" for others and without one.
    by_hand: trainers that were started by hand.
    """

    state: str
    pid: int | None
    run_id: str
    generation: int
    step: int | None
    digest: str
    memory_mb: float | None
    section: str
    silent_s: float | None
    where: str
    leftovers: tuple[int, ...]
    last_event: Mapping[str, Any]
    by_hand: tuple[ManualTrainer, ...]
    proof: str = ""
    engine: str = LOCAL
    waiting: str = ""
    unknown: str = ""
    unproven: str = ""
    remark: str = ""


def status(project: Project) -> Result:
    """Report the trainer and manually started trainers."""
    process = observed.observe(project.layout, project.runbook.trainer)
    return Result("trainer status", Exit.DONE, _headline(process), lines=tuple(_lines(process)), data=describe(process))


def _headline(process: Process) -> str:
    parts = [tr("trainer: {state}", state=process.state)]
    if process.pid:
        parts.append(process.name)
    if process.generation:
        parts.append(tr("generation {number}", number=process.generation))
    if process.step is not None:
        parts.append(tr("step {step}", step=process.step))
    return joined(", ", parts)


def _lines(process: Process) -> list[str]:
    lines: list[str] = []
    if process.run_id:
        digest = process.digest[:12] or "?"
        lines.append(
            tr("started {time}, run {run}, config {digest}", time=process.since, run=process.run_id, digest=digest)
        )
    if process.memory_mb:
        lines.append(tr("memory {memory:.0f} MB, mapped files not counted", memory=process.memory_mb))
    if process.silent_s is not None:
        lines.append(tr("{problem} → atftctl trainer restart", problem=silence(process)))
    lines += about_engine(process)
    if process.state == "died":
        lines.append(cause(process.last_event or {}))
    if process.where:
        lines.append(tr("started on {host}; its state can't be seen from here", host=process.where))
    if process.leftovers:
        pids = ", ".join(map(str, process.leftovers))
        lines.append(tr("processes of that run are still running: pid {pids} → atftctl trainer stop", pids=pids))
    lines += [
        tr(
            "manually started trainer: {process}, user {user}: {command}",
            process=trainer.name,
            user=trainer.user,
            command=trainer.command[:100],
        )
        for trainer in process.unmanaged
    ]
    return lines


def waiting_text(process: Process) -> Message:
    """Say why a trainer waits in a queue."""
    return tr("{process} waits in the queue: {reason}", process=process.name, reason=process.waiting)


def about_engine(process: Process) -> list[str]:
    """What whoever runs the trainer says of it, and what nobody can say."""
    lines: list[str] = []
    if process.waiting:
        lines.append(waiting_text(process))
    if process.unknown:
        lines.append(
            tr(
                "the state of the trainer ({process}) is not known: {reason}",
                process=process.name,
                reason=process.unknown,
            )
        )
    if process.unproven:
        lines.append(tr("nobody can show yet that the trainer has ended: {known}", known=process.unproven))
    if process.remark:
        lines.append(tr("note: {note}", note=process.remark))
    return lines


def describe(process: Process) -> TrainerStatusData:
    """Return the trainer as data."""
    return TrainerStatusData(
        state=process.state,
        pid=process.pid,
        run_id=process.run_id,
        generation=process.generation,
        step=process.step,
        digest=process.digest,
        memory_mb=process.memory_mb,
        section=process.section,
        silent_s=process.silent_s,
        where=process.where,
        leftovers=process.leftovers,
        last_event=dict(process.last_event or {}),
        by_hand=tuple(
            ManualTrainer(trainer.pid, trainer.user, trainer.command, trainer.why_not) for trainer in process.unmanaged
        ),
        proof=process.proof,
        engine=process.engine,
        waiting=process.waiting,
        unknown=process.unknown,
        unproven=process.unproven,
        remark=process.remark,
    )
