"""Started is not healthy: waiting for the first step of the new process, with the digest of what was written."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from atftctl import protocol
from atftctl.apply import trainer_process
from atftctl.decide.plans.setting_changes import not_taken_up
from atftctl.domain.errors import AtftError, InterventionNeeded, Refused
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.steps import SettingChange, StartTrainer
from atftctl.host.errors import reason
from atftctl.host.files.logs import inode_of_log, size_of_log, tail
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.observe.trainer_run import event_log
from atftctl.observe.trainer_run import process as observed
from atftctl.observe.trainer_run import process as observed_process
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.state import process_record
from atftctl.state.layout import Layout
from atftctl.state.process_record import marker

LEAVES_S = 5.0


@dataclass(frozen=True)
class Proof:
    """What was seen of the new process. `words` say what is missing."""

    healthy: bool = True
    words: str = ""
    seen: Mapping[str, Any] | None = None
    interrupted: bool = False

    @property
    def exit_code(self) -> Exit:
        if self.interrupted:
            return Exit.INTERRUPTED
        return Exit.DONE if self.healthy else Exit.CHECK_FAILED


def await_proof(
    project: Project, record: ProcessRecord, step: StartTrainer, changes: tuple[SettingChange, ...] = ()
) -> Proof:
    """Of a trainer that was started: its first step, with the settings of `changes` in effect."""
    try:
        proof = await_first_step(project, record, step)
        return _in_effect(project, record, proof, changes) if proof.healthy else proof
    except KeyboardInterrupt:
        words = f"the trainer was started (pid {record.pid}), its first step was not seen; atftctl trainer status"
        return Proof(healthy=False, words=words, interrupted=True)


def _in_effect(project: Project, record: ProcessRecord, proof: Proof, changes: tuple[SettingChange, ...]) -> Proof:
    """A flag that was written and that nobody reads (or that a double switch holds back) is no rollback."""
    said = event_log.events(
        project.layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id
    )
    effective = next((event.get("effective") for event in said if event["event"] == protocol.STARTED), None)
    words = not_taken_up(effective if isinstance(effective, dict) else {}, changes)
    return Proof(False, "; ".join(words), proof.seen) if words else proof


def await_echo(
    project: Project, record: ProcessRecord | None, digest: str, changes: tuple[SettingChange, ...]
) -> Proof:
    """Of a running trainer that was asked to take the new settings up: its own echo of them."""

    if record is None:
        return Proof(False, "no trainer is recorded")
    try:
        event = take_up(project, record, digest)
    except AtftError as error:
        return Proof(False, error.message)
    except KeyboardInterrupt:
        return Proof(False, "the trainer was asked to take it up, its echo was not seen", interrupted=True)
    effective = event.get("effective")
    words = not_taken_up(effective if isinstance(effective, dict) else {}, changes)
    return Proof(not words, "; ".join(words), event)


def await_first_step(project: Project, record: ProcessRecord, step: StartTrainer) -> Proof:
    """Started is not healthy: the first training step of this run, with the digest of what was written."""
    ends = (protocol.FIRST_STEP, protocol.ANOMALY, protocol.STOPPED)
    event, why = _await(project, record, step, (*ends, protocol.OOM))
    if event and event["event"] == protocol.OOM and event.get("recoverable"):
        event, why = _await(project, record, step, ends)  # what it recovers from by itself is no end
    _follow(project, record)
    if event and event["event"] != protocol.FIRST_STEP:
        _await_end(project, record)
    if event is None:
        return Proof(False, f"the trainer did not come up: {why}; {_last_output(project.layout)}")
    if event["event"] != protocol.FIRST_STEP:
        word = event.get("message") or event.get("reason", "")
        return Proof(False, f"the trainer ended before its first step: {event['event']} ({word})", event)
    if record.digest and event.get("digest") != record.digest:
        return Proof(False, "the trainer runs, but with other settings than were written", event)
    return Proof(seen=event)


def _await(
    project: Project, record: ProcessRecord, step: StartTrainer, wanted: tuple[str, ...]
) -> tuple[Mapping[str, Any] | None, str]:
    return event_log.await_event(
        project.layout.root,
        run_id=record.run_id,
        offset=record.events_from,
        wanted=wanted,
        inode=record.events_inode,
        alive=lambda: _lives(project, record),
        limit_s=step.ready_s,
    )


def _lives(project: Project, record: ProcessRecord) -> bool:
    """Its process, or another one of the run: its command may have gone on in the background."""
    return observed_process.identity(project.layout, record) is not None or bool(
        observed_process.members(project.layout, record)
    )


def _await_end(project: Project, record: ProcessRecord) -> None:
    """It has said its last word, and may still be leaving: what is told next must agree with what `status` sees."""
    deadline = time.monotonic() + LEAVES_S
    while observed_process.identity(project.layout, record) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def _follow(project: Project, record: ProcessRecord) -> None:
    """Where the command has gone on in the background (setsid, a daemon, a launcher that leaves), the process that
    carries the run's mark is the trainer from now on; and a log that was not there at the start is known by now."""
    from atftctl.state.process_record import write_record

    found = record
    who = (
        procs.find_marked(marker(record), rights.uid_of(project.layout.root))
        if observed_process.identity(project.layout, record) is None
        else None
    )
    if who:
        found = replace(found, pid=who.pid, ticks=who.ticks, boot=who.boot, detached=True)
    if not found.events_inode:
        found = replace(found, events_inode=inode_of_log(project.layout.root, protocol.EVENTS))
    if found != record:
        write_record(project.layout, found)


def _last_output(layout: Layout) -> str:
    lines = [line for line in tail(layout.root, protocol.OUTPUT, 5) if line.strip()]
    return f"its last line: {lines[-1][:200]}" if lines else "it said nothing"


def take_up(project: Project, record: ProcessRecord, wanted: str, resume: str = "last") -> Mapping[str, Any]:
    """Ask the trainer to take up the settings whose digest is `wanted`; returns its answer.

    Raises Refused where the trainer refused them, InterventionNeeded where it does not answer or took up others.
    """
    offset = size_of_log(project.layout.root, protocol.EVENTS)
    inode = inode_of_log(project.layout.root, protocol.EVENTS)
    try:
        number = trainer_process.ask(project.layout, record, protocol.WANT_RELOAD, resume=resume)
    except OSError as error:
        raise Refused(f"the request can't be written: {reason(error)}", state="the old settings go on") from None
    event = _await_answer(project, record, number, offset, inode)
    if event["event"] == protocol.RELOAD_REFUSED:
        raise Refused(f"the trainer refused the settings: {event.get('message')}", state="it goes on with the old ones")
    if event.get("digest") != wanted:
        raise InterventionNeeded(
            "the trainer took up other settings than stand in the files",
            state="they were changed in between, or it reads other files",
            hint="atftctl trainer reload, again",
        )
    process_record.write_record(project.layout, dataclasses.replace(record, digest=wanted))
    return event


def _await_answer(project: Project, record: ProcessRecord, number: str, offset: int, inode: int) -> Mapping[str, Any]:
    event, why = event_log.await_event(
        project.layout.root,
        run_id=record.run_id,
        offset=offset,
        inode=inode,
        wanted=(protocol.RELOADED, protocol.RELOAD_REFUSED),
        alive=lambda: observed.identity(project.layout, record) is not None,
        limit_s=project.runbook.trainer.ready_s,
        request=number,
    )
    if event is None:
        trainer_process.withdraw(project.layout)  # it must not take up later what has been put back by then
        raise InterventionNeeded(
            f"the trainer did not answer: {why}",
            state="the request was withdrawn",
            hint="atftctl trainer status; atftctl trainer restart takes the settings up in any case",
        )
    return event
