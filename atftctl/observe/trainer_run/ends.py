"""The events of a run, and at their end how the process ended where the trainer did not say so itself."""

from __future__ import annotations

from typing import Any

from atftctl import protocol
from atftctl.domain.facts import EXITED
from atftctl.domain.process_record import ProcessRecord
from atftctl.observe.trainer_run import event_log
from atftctl.state.engines.choice import engine_of
from atftctl.state.layout import Layout


def events_of(layout: Layout, record: ProcessRecord) -> list[dict[str, Any]]:
    """The events of the recorded run, the oldest first."""
    seen = list(
        event_log.events(layout.root, offset=record.events_from, inode=record.events_inode, run_id=record.run_id)
    )
    if record.ready and not any(event["event"] == protocol.STOPPED for event in seen):
        seen += _exit(layout, record)
    return seen


def _exit(layout: Layout, record: ProcessRecord) -> list[dict[str, Any]]:
    """How the process ended, as an event; [] where that is not known, or a process of the run is alive: a launcher that
    ended may have left one."""
    engine = engine_of(record)
    end = engine.read_exit(layout, record)
    if end is None or engine.members(layout, record):
        return []
    return [{"event": EXITED, "t": end.time, "run_id": record.run_id, "pid": end.pid, "exit_code": end.code}]
