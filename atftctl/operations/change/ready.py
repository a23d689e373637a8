"""Wait for the proof that the runbook names for a trainer that writes no events (`trainer.ready`). It is weaker than a
first step with the digest of the settings, and is recorded as what it is."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from atftctl import protocol
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import ErrorPattern
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.readiness import Ready
from atftctl.domain.steps import StartTrainer
from atftctl.host.errors import HostError
from atftctl.host.files.reading import open_regular
from atftctl.host.process.command import run
from atftctl.host.process.cpu_ticks import cpu_ticks
from atftctl.observe.metrics.text_rows import metrics_since
from atftctl.observe.trainer_run import event_log
from atftctl.observe.trainer_run.probes import environment
from atftctl.operations.change.proof import (
    Proof,
    await_exit,
    how_ended,
    is_alive,
    last_output,
    update_record,
)
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, tr

POLL_S = 0.1
TRY_S = 10.0  # that one try of the command may take
PAUSE_S = 0.5  # between two tries
BLOCK = 1 << 20  # bytes of output that are searched at a time
LONGEST = 8192  # characters of a line that are searched
FINAL = (protocol.FIRST_STEP, protocol.ANOMALY, protocol.STOPPED)

Look = Callable[[], Mapping[str, Any] | None]  # what was seen that proves it, or None


def await_ready(project: Project, record: ProcessRecord, step: StartTrainer, ready: Ready) -> Proof:
    """Wait until the runbook's condition is true. A trainer that reports its first step nevertheless has given the
    stronger proof, and one that ends is not healthy, whatever it has done before."""
    began = time.monotonic()
    look, deadline = _look(project, record, ready, began, began + step.ready_s), began + step.ready_s
    while True:
        alive = is_alive(project, record)  # asked before everything else, so that nothing it wrote last is missed
        if event := _final_event(project, record):
            update_record(project, record)
            return of_event(project, record, event)
        if not alive:
            return _ended(project, record, ready, time.monotonic() - began)
        try:
            seen = look()
        except _NeverError as never:
            return _not_seen(project, update_record(project, record), step, ready, never.why)
        if seen is not None and is_alive(project, record):
            update_record(project, record, ready.kind)
            return Proof(kind=ready.kind, seen=seen)
        if time.monotonic() >= deadline:
            return _not_seen(project, update_record(project, record), step, ready)
        time.sleep(POLL_S)


def of_event(project: Project, record: ProcessRecord, event: Mapping[str, Any]) -> Proof:
    """What an event of the trainer proves: its first step with the settings that were written, or that it ended."""
    if event["event"] != protocol.FIRST_STEP:
        if event["event"] == protocol.ANOMALY and event.get("recoverable") is True:
            return Proof(False, tr("not healthy: {what}; the trainer goes on", what=_not_finite(event)), event)
        await_exit(project, record)
        problem = tr(
            "the trainer ended before its first step: {event} ({reason})",
            event=event["event"],
            reason=event.get("message") or event.get("reason") or _not_finite(event),
        )
        return Proof(False, problem, event)
    if record.digest and event.get("digest") != record.digest:
        return Proof(False, tr("the trainer is running, but with other settings than were written"), event)
    return Proof(event=event, kind="first-step", seen=event)


def _not_finite(event: Mapping[str, Any]) -> Message | str:
    """What was not finite, by the event of an anomaly; "" where the event does not say so."""
    quantity, value, step = event.get("quantity"), event.get("value"), event.get("step")
    return tr("{quantity} is {value} in step {step}", quantity=quantity, value=value, step=step) if quantity else ""


def _final_event(project: Project, record: ProcessRecord) -> Mapping[str, Any] | None:
    events = event_log.events(
        project.layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id
    )
    return next((event for event in events if event["event"] in FINAL), None)


def _ended(project: Project, record: ProcessRecord, ready: Ready, seconds: float) -> Proof:
    problem = tr(
        "the trainer ended after {seconds:.1f} s, before this was true: {condition}; {end}",
        seconds=seconds,
        condition=ready.waits_for,
        end=how_ended(project, record),
    )
    return Proof(False, problem, lines=last_output(project, record))


class _NeverError(Exception):
    """It is no use to wait longer."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _not_seen(project: Project, record: ProcessRecord, step: StartTrainer, ready: Ready, why: str = "") -> Proof:
    problem = why or tr(
        "not seen within {limit_s:g} s: {condition}; the process is alive ({process})",
        limit_s=step.ready_s,
        condition=ready.waits_for,
        process=record.name,
    )
    return Proof(False, problem, lines=last_output(project, record))


def _look(project: Project, record: ProcessRecord, ready: Ready, began: float, deadline: float) -> Look:
    match ready.kind:
        case "output":
            return _Output(project, record, ready.pattern).look
        case "metrics":
            return lambda: _metrics(project, record)
        case "command":
            return _Command(project, ready.command, deadline).look
    return lambda: {"alive_s": ready.alive_s} if time.monotonic() - began >= ready.alive_s else None


class _Output:
    """Searches the trainer's output, and its log, since the start."""

    def __init__(self, project: Project, record: ProcessRecord, pattern: str) -> None:
        self._root, self._matcher = project.layout.root, Matcher([ErrorPattern("trainer.ready.pattern", pattern)])
        self._files = (
            (record.output, record.output_from, record.output_inode),
            (protocol.LOG, record.log_from, record.log_inode),
        )
        self._read: dict[tuple[int, int], int] = {}  # by device and inode, the offset of the first byte not searched

    def look(self) -> Mapping[str, Any] | None:
        for name, offset, inode in self._files:
            self._require_pattern()
            for path, start in event_log.parts_since(self._root, name, offset, inode):
                try:
                    line = self._search(path, start)
                except (OSError, HostError):
                    continue
                if line is not None:
                    return {"line": line[:200], "file": name}
        return None

    def _require_pattern(self) -> None:
        """Raises _NeverError where the search was given up: who writes the output could hold the start up with it."""
        for why in self._matcher.problems.values():
            raise _NeverError(tr("trainer.ready.pattern of the runbook: {why}", why=why))

    def _search(self, path: Any, start: int) -> str | None:
        with open_regular(path) as file:
            facts = os.fstat(file.fileno())
            place = facts.st_dev, facts.st_ino
            at = self._read.get(place, start)
            at = at if at <= facts.st_size else 0  # it was emptied
            file.seek(at)
            data = file.read(BLOCK)
        with cpu_ticks(self._matcher.tick):
            for line in re.split(rb"[\r\n]", data):  # a progress bar ends its lines by a carriage return
                text = line.decode("utf-8", "replace")[:LONGEST]
                if self._matcher.kind(text) is not None:
                    return text.strip()
        whole = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._read[place] = at + (whole or (len(data) if len(data) == BLOCK else 0))
        return None


def _metrics(project: Project, record: ProcessRecord) -> Mapping[str, Any] | None:
    rows = metrics_since(project.layout, record.metrics_since, record.generation)
    steps = [step for row in rows if (step := _step(row)) is not None]
    return {"step": steps[-1], "from_step": steps[0]} if steps and steps[-1] > steps[0] else None


def _step(row: Mapping[str, str]) -> int | None:
    try:
        return int(float(row["step"]))
    except (KeyError, ValueError, OverflowError):
        return None


class _Command:
    """Tries a program again and again."""

    def __init__(self, project: Project, command: tuple[str, ...], deadline: float) -> None:
        self._root, self._deadline = project.layout.root, deadline
        self._argv = [word.replace("{python}", sys.executable) for word in command]
        self._next = 0.0

    def look(self) -> Mapping[str, Any] | None:
        left_s = self._deadline - time.monotonic()
        if time.monotonic() < self._next or left_s <= 0:
            return None
        done = run(self._argv, cwd=self._root, env=environment(self._root), limit_s=min(TRY_S, left_s))
        self._next = time.monotonic() + PAUSE_S
        return {"command": " ".join(self._argv), "output": done.last_line[:200]} if done.code == 0 else None
