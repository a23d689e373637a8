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
from atftctl.domain.record import record
from atftctl.domain.steps import SettingChange, StartTrainer
from atftctl.host.errors import reason
from atftctl.host.files.logs import inode_of_log, size_of_log, tail
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.observe.trainer_run import event_log
from atftctl.observe.trainer_run import process as observed_process
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr
from atftctl.state import process_record
from atftctl.state.layout import Layout
from atftctl.state.process_record import marker

EXIT_S = 5.0  # how long a trainer that wrote its final event may take to exit


@record
class Proof:
    """What was seen of a new process, or of a reload.

    `problem`: why it is not healthy, or what was not seen; "" where all is well. `event`: the event of its first step
    or reload, or the one that ended it. `interrupted`: the operator stopped the wait.
    """

    healthy: bool = True
    problem: str = ""
    event: Mapping[str, Any] | None = None
    interrupted: bool = False

    @property
    def exit_code(self) -> Exit:
        if self.interrupted:
            return Exit.INTERRUPTED
        return Exit.DONE if self.healthy else Exit.CHECK_FAILED


def await_first_step(
    project: Project, record: ProcessRecord, step: StartTrainer, changes: tuple[SettingChange, ...] = ()
) -> Proof:
    """Wait for the first step of a trainer that was started, and check that the settings of `changes` are in effect."""
    try:
        proof = _first_step(project, record, step)
        return _check_effective(project, record, proof, changes) if proof.healthy else proof
    except KeyboardInterrupt:
        problem = tr(
            "the trainer was started (pid {pid}), but its first step was not seen: atftctl trainer status",
            pid=record.pid,
        )
        return Proof(healthy=False, problem=problem, interrupted=True)


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
    return _with_effective(event, event.get("effective"), changes)


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
    return _with_effective(proof.event, effective, changes)


def _with_effective(event: Mapping[str, Any] | None, effective: object, changes: tuple[SettingChange, ...]) -> Proof:
    """`effective`: the settings that the trainer reported; nothing is known where it reported none."""
    problems = not_taken_up(effective if isinstance(effective, dict) else {}, changes)
    return Proof(not problems, joined("; ", problems), event)


def _first_step(project: Project, record: ProcessRecord, step: StartTrainer) -> Proof:
    """Wait for the first step of this run; it must report the digest of the config that was written."""
    final = (protocol.FIRST_STEP, protocol.ANOMALY, protocol.STOPPED)
    event, reason = _await(project, record, step, (*final, protocol.OOM))
    if event and event["event"] == protocol.OOM and event.get("recoverable"):
        event, reason = _await(project, record, step, final)  # the trainer recovers from that by itself
    _update_record(project, record)
    if event and event["event"] != protocol.FIRST_STEP:
        _await_exit(project, record)
    if event is None:
        output = _last_output(project.layout)
        return Proof(False, tr("the trainer did not start: {reason}; {output}", reason=reason, output=output))
    if event["event"] != protocol.FIRST_STEP:
        problem = tr(
            "the trainer ended before its first step: {event} ({reason})",
            event=event["event"],
            reason=event.get("message") or event.get("reason", ""),
        )
        return Proof(False, problem, event)
    if record.digest and event.get("digest") != record.digest:
        return Proof(False, tr("the trainer is running, but with other settings than were written"), event)
    return Proof(event=event)


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
        alive=lambda: _is_alive(project, record),
        limit_s=step.ready_s,
    )


def _is_alive(project: Project, record: ProcessRecord) -> bool:
    """Is its process alive, or another one of the run? Its command may have continued in the background."""
    return observed_process.identity(project.layout, record) is not None or bool(
        observed_process.members(project.layout, record)
    )


def _await_exit(project: Project, record: ProcessRecord) -> None:
    """Wait for a trainer that wrote its final event to exit, so that `status` agrees with what is reported next."""
    deadline = time.monotonic() + EXIT_S
    while observed_process.identity(project.layout, record) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def _update_record(project: Project, record: ProcessRecord) -> None:
    """Record what is only known once the trainer runs: its process, where its command continued in the background
    (setsid, a daemon, a launcher that exits), found by the run's mark; and its event log, where that was new."""
    updated = record
    if observed_process.identity(project.layout, record) is None:
        identity = procs.find_marked(marker(record), rights.uid_of(project.layout.root))
        if identity:
            updated = replace(updated, pid=identity.pid, ticks=identity.ticks, boot=identity.boot, detached=True)
    if not updated.events_inode:
        updated = replace(updated, events_inode=inode_of_log(project.layout.root, protocol.EVENTS))
    if updated != record:
        process_record.write_record(project.layout, updated)


def _last_output(layout: Layout) -> str:
    lines = [line for line in tail(layout.root, protocol.OUTPUT, 5) if line.strip()]
    return tr("its last output: {line}", line=lines[-1][:200]) if lines else tr("it wrote no output")


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
        alive=lambda: observed_process.identity(project.layout, record) is not None,
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
