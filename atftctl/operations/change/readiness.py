"""Wait for the proof that a trainer is healthy: its first step, with the settings that were written. A process that was
started proves nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from atftctl import protocol
from atftctl.apply import trainer_process
from atftctl.decide.plans.setting_changes import not_taken_up, reported
from atftctl.domain.errors import AtftError, InterventionNeeded, Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.steps import SettingChange, StartTrainer
from atftctl.host.errors import reason
from atftctl.host.files.logs import inode_of_log, size_of_log
from atftctl.observe.trainer_run import event_log
from atftctl.operations.change.proof import Proof, is_alive, short_output, update_record
from atftctl.operations.change.ready import await_ready, of_event
from atftctl.operations.project import Project
from atftctl.protocol.messages import joined, tr
from atftctl.state import process_record
from atftctl.state.engines.choice import engine_of

QUEUE_POLL_S = 0.1


def await_first_step(
    project: Project, record: ProcessRecord, step: StartTrainer, changes: tuple[SettingChange, ...] = ()
) -> Proof:
    """Wait for the first step of a trainer that was started, and check that the settings of `changes` are in effect; or
    for what the runbook says of a trainer that writes no events. The time in a queue before that is not counted."""
    try:
        if problem := await_turn(project, record, step.queue_s):
            return Proof(healthy=False, problem=problem)
        proof = await_ready(project, record, step, step.ready) if step.ready else _first_step(project, record, step)
        return _check_effective(project, record, proof, changes) if proof.healthy else proof
    except KeyboardInterrupt:
        if reason := engine_of(record).waiting(project.layout, record):
            problem = tr(
                "the trainer was submitted ({process}) and waits in the queue: {reason}; it stays there: atftctl "
                "trainer status; to take it back: atftctl trainer stop",
                process=record.name,
                reason=reason,
            )
            return Proof(healthy=False, problem=problem, interrupted=True)
        update_record(project, record)
        problem = tr(
            "the trainer was started ({process}), but its first step was not seen: atftctl trainer status",
            process=record.name,
        )
        return Proof(healthy=False, problem=problem, interrupted=True)


def await_turn(project: Project, record: ProcessRecord, limit_s: float) -> str:
    """Wait while the trainer waits in a queue, for at most `limit_s` seconds; return why it has not begun by then, ""
    where it has."""
    engine, deadline = engine_of(record), time.monotonic() + limit_s
    while limit_s and (reason := engine.waiting(project.layout, record)):
        if time.monotonic() >= deadline:
            return tr(
                "the trainer ({process}) still waits in the queue after {limit_s:g} s: {reason}; it stays there, and "
                "starts when its turn comes: atftctl trainer status; to take it back: atftctl trainer stop",
                process=record.name,
                limit_s=limit_s,
                reason=reason,
            )
        time.sleep(QUEUE_POLL_S)
    return ""


def await_reload(
    project: Project, record: ProcessRecord | None, digest: str, changes: tuple[SettingChange, ...]
) -> Proof:
    """Ask the running trainer to load the config with this digest; check that the settings of `changes` are in
    effect."""
    if record is None:
        return Proof(False, tr("no trainer is recorded"))
    changes = reported(project.runbook.files, changes)
    try:
        event = request_reload(project, record, digest)
    except AtftError as error:
        return Proof(False, error.message)
    except KeyboardInterrupt:
        problem = tr("the trainer was asked to load the new settings, but its answer was not seen")
        return Proof(False, problem, interrupted=True)
    return _with_effective(Proof(event=event, kind="reload", seen=event), event.get("effective"), changes)


def _check_effective(
    project: Project, record: ProcessRecord, proof: Proof, changes: tuple[SettingChange, ...]
) -> Proof:
    """Compare the settings that the trainer reported at its start with those that were written: a setting that it does
    not read, or that a second switch holds back, was not rolled back."""
    changes = reported(project.runbook.files, changes)
    events = event_log.events(
        project.layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id
    )
    effective = next((event.get("effective") for event in events if event["event"] == protocol.STARTED), None)
    return _with_effective(proof, effective, changes)


def _with_effective(proof: Proof, effective: object, changes: tuple[SettingChange, ...]) -> Proof:
    """`effective`: the settings that the trainer reported; nothing is known where it reported none."""
    problems = not_taken_up(effective if isinstance(effective, dict) else {}, changes)
    checked = bool(proof.event and proof.event.get("digest"))
    return replace(proof, healthy=not problems, problem=joined("; ", problems), checked=checked)


def _first_step(project: Project, record: ProcessRecord, step: StartTrainer) -> Proof:
    """Wait for the first step of this run; it must report the digest of the config that was written."""
    final = (protocol.FIRST_STEP, protocol.ANOMALY, protocol.STOPPED)
    event, reason = _await(project, record, step, (*final, protocol.OOM))
    if event and event["event"] == protocol.OOM and event.get("recoverable"):
        event, reason = _await(project, record, step, final)  # the trainer recovers from that by itself
    update_record(project, record)
    if event is None:
        output = short_output(project.layout, record)
        problem = tr("the trainer did not start: {reason}; {output}", reason=reason, output=output)
        return Proof(False, problem, lines=_advice(project, record))
    return of_event(project, record, event)


def _advice(project: Project, record: ProcessRecord) -> tuple[str, ...]:
    """What to write in the runbook, where the trainer is alive and has written no event: it may know of none."""
    events = event_log.events(
        project.layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id
    )
    if next(events, None) is not None or not is_alive(project, record):
        return ()
    return (
        tr(
            "the process is alive ({process}) but has written no event to {path}",
            process=record.name,
            path=protocol.EVENTS,
        ),
        tr(
            "if this trainer knows nothing of atftctl, say in the runbook how its start is recognised, for instance: "
            "trainer: {example}",
            example="{ready: {alive_s: 60}}",
        ),
    )


def _await(
    project: Project, record: ProcessRecord, step: StartTrainer, wanted: tuple[str, ...]
) -> tuple[Mapping[str, Any] | None, str]:
    """Return the first event of these kinds, or None and why there is none."""
    return event_log.await_event(
        project.layout.root,
        run_id=record.run_id,
        offset=record.events_from,
        wanted=wanted,
        inode=record.events_inode,
        alive=lambda: is_alive(project, record),
        limit_s=step.ready_s,
    )


def request_reload(project: Project, record: ProcessRecord, wanted: str, resume: str = "last") -> Mapping[str, Any]:
    """Ask the trainer to load the config whose digest is `wanted`; return its answer.

    `resume`: the checkpoint to continue from. Raises Refused where the trainer refused the config, InterventionNeeded
    where it does not answer or loaded another one.
    """
    offset = size_of_log(project.layout.root, protocol.EVENTS)
    inode = inode_of_log(project.layout.root, protocol.EVENTS)
    try:
        number = trainer_process.ask(project.layout, record, protocol.WANT_RELOAD, resume=resume)
    except OSError as error:
        raise Refused(
            tr("the request to the trainer can't be written: {reason}", reason=reason(error)),
            state=tr("the trainer keeps its old settings"),
        ) from None
    event = _await_answer(project, record, number, offset, inode)
    if event["event"] == protocol.RELOAD_REFUSED:
        raise Refused(
            tr("the trainer refused the settings: {reason}", reason=event.get("message")),
            state=tr("the trainer keeps its old settings"),
        )
    if event.get("digest") != wanted:
        raise InterventionNeeded(
            tr("the trainer loaded other settings than the config files hold"),
            state=tr("the files changed in between, or the trainer reads other files"),
            hint="atftctl trainer reload",
        )
    process_record.write_record(project.layout, replace(record, digest=wanted))
    return event


def _await_answer(project: Project, record: ProcessRecord, number: str, offset: int, inode: int) -> Mapping[str, Any]:
    """Return the trainer's answer to the request with this number. Raises InterventionNeeded where none comes."""
    event, reason = event_log.await_event(
        project.layout.root,
        run_id=record.run_id,
        offset=offset,
        inode=inode,
        wanted=(protocol.RELOADED, protocol.RELOAD_REFUSED),
        alive=lambda: engine_of(record).find(project.layout, record) is not None,
        limit_s=project.runbook.trainer.ready_s,
        request=number,
    )
    if event is None:
        trainer_process.withdraw(project.layout)  # or it would be obeyed later, when the files are others
        raise InterventionNeeded(
            tr("the trainer did not answer: {reason}", reason=reason),
            state=tr("the request was withdrawn"),
            hint=tr("check with: atftctl trainer status; to apply the settings in any case: atftctl trainer restart"),
        )
    return event
