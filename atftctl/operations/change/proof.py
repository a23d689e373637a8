"""What was seen of a trainer that was started or reloaded, and the facts of its process that every proof asks for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from atftctl import protocol
from atftctl.decide.verdicts.crash_cause import exit_text
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.proof import proof_data
from atftctl.domain.readiness import ProofKind
from atftctl.domain.record import record
from atftctl.host.files.logs import inode_of_log, tail
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import process_record
from atftctl.state.engines.choice import engine_of
from atftctl.state.layout import Layout

EXIT_S = 5.0  # how long a trainer that wrote its final event, or whose output ended, may take to exit
SHOWN = 5  # lines of output that are shown of a trainer that is not healthy
LINE = 200  # characters of each


@record
class Proof:
    """What was seen of a new process, or of a reload.

    `problem`: why it is not healthy, or what was not seen; "" where all is well. `event`: the event of its first step
    or reload, or the one that ended it. `interrupted`: the operator stopped the wait. `kind`, `seen`: what proves that
    it is healthy. `checked`: the settings that it uses were compared with those of the files. `lines`: what helps with
    a problem.
    """

    healthy: bool = True
    problem: str = ""
    event: Mapping[str, Any] | None = None
    interrupted: bool = False
    kind: ProofKind = ""
    seen: Mapping[str, Any] | None = None
    checked: bool = False
    lines: tuple[str, ...] = ()

    @property
    def exit_code(self) -> Exit:
        if self.interrupted:
            return Exit.INTERRUPTED
        return Exit.DONE if self.healthy else Exit.CHECK_FAILED

    @property
    def data(self) -> dict[str, Any] | None:
        """As JSON and the history hold it; None where nothing is proven."""
        if not (self.healthy and self.kind):
            return None
        return proof_data(self.kind, self.seen or {}, checked=self.checked)


def is_alive(project: Project, record: ProcessRecord) -> bool:
    """Is its process alive, or another one of the run? Its command may have continued in the background."""
    engine = engine_of(record)
    return engine.find(project.layout, record) is not None or bool(engine.members(project.layout, record))


def await_exit(project: Project, record: ProcessRecord) -> None:
    """Wait for a trainer that wrote its final event to exit, so that `status` agrees with what is reported next."""
    deadline = time.monotonic() + EXIT_S
    while engine_of(record).find(project.layout, record) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def update_record(project: Project, record: ProcessRecord, kind: ProofKind = "") -> ProcessRecord:
    """Record what is only known once the trainer runs, and return the record: its process, where its command continued
    in the background (setsid, a daemon, a launcher that exits), found by the run's mark; its event log, where that was
    new; and the kind of its proof."""
    updated, engine = record, engine_of(record)
    if engine.find(project.layout, record) is None:
        identity = engine.find(project.layout, replace(record, detached=True))
        if identity:
            updated = replace(updated.begun_as(identity), detached=True)
    if not updated.events_inode:
        updated = replace(updated, events_inode=inode_of_log(project.layout.root, protocol.EVENTS))
    if kind:
        updated = replace(updated, proof=kind)
    if updated != record:
        process_record.write_record(project.layout, updated)
    return updated


def how_ended(project: Project, record: ProcessRecord) -> str:
    """How the process of a trainer ended that wrote no final event. Its parent needs a moment to write it down."""
    if not record.ready:
        return tr("the process ended")
    deadline = time.monotonic() + EXIT_S
    while (end := engine_of(record).read_exit(project.layout, record)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return exit_text(end.code) if end else tr("the process ended; its exit code is not known")


def last_output(project: Project, record: ProcessRecord) -> tuple[str, ...]:
    """The last lines of the trainer's output since its start, below a line that says so."""
    lines = output_of(project.layout, record)
    if not lines:
        return (tr("the trainer has written nothing to {path}", path=record.output),)
    return (tr("the end of {path}:", path=record.output), *(f"  {line[:LINE]}" for line in lines))


def output_of(layout: Layout, record: ProcessRecord) -> list[str]:
    """The last lines that are not empty of the trainer's output since its start."""
    since = record.output_from if inode_of_log(layout.root, record.output) == record.output_inode else 0
    lines = tail(layout.root, record.output, 4 * SHOWN, since=since)
    return [line for line in lines if line.strip()][-SHOWN:]


def short_output(layout: Layout, record: ProcessRecord) -> str:
    """The last line of the trainer's output, in words."""
    lines = output_of(layout, record)
    return tr("its last output: {line}", line=lines[-1][:LINE]) if lines else tr("it wrote no output")
