"""Where a staged rollback stands, and what the trainer does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.metrics_window import Window
from atftctl.domain.staged import StagedState
from atftctl.observe.trainer_run import event_log, process
from atftctl.state.layout import Layout


def look(layout: Layout, state: StagedState, command: Sequence[str]) -> tuple[Window, str]:
    """The trainer since its start; and why that says nothing about the stage, since somebody else has the trainer in
    hand ("" where nobody has)."""
    found, record = process.observe(layout, command), process.read_record(layout)
    rows = event_log.metrics_since(layout.root, record.metrics_from) if record else []
    fatal = None if found.alive else found.last_event
    others = ""
    if record is None or {record.run_id, found.run_id} != {state.run_id}:
        others = "another trainer was started meanwhile"
    elif "stopped" in (found.state, record.wanted) or found.state in ("stopping", "elsewhere"):
        others = "the trainer was stopped on purpose"
    return Window(rows, found.alive, fatal, found.silent_s), others
