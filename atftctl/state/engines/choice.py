"""Which engine runs a trainer: by the name in its record, or in the runbook."""

from __future__ import annotations

from atftctl.domain.process_record import ProcessRecord
from atftctl.state.engines.engine import Engine
from atftctl.state.engines.local import Local


def engine_of(record: ProcessRecord | None) -> Engine:
    """The engine that runs the recorded trainer."""
    del record
    return Local()


def named(name: str) -> Engine:
    """The engine of this name."""
    del name
    return Local()
