"""Observe the trainer while a staged rollback watches one stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from atftctl.domain.metrics_window import Window
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.runbook import TrainerRules
from atftctl.domain.staged import StagedState
from atftctl.observe.metrics.text_rows import metrics_since
from atftctl.observe.trainer_run import process
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout


def look(layout: Layout, state: StagedState, rules: TrainerRules) -> tuple[Window, str]:
    """(the trainer's run since its start; why it can't be used to judge the stage, or ""). It can't where somebody else
    stopped the trainer or started another one."""
    trainer, record = process.observe(layout, rules), process.read_record(layout)
    rows = _rows_of(layout, record) if record else []
    fatal = None if trainer.alive else trainer.last_event
    problem = ""
    if record is None or {record.run_id, trainer.run_id} != {state.run_id}:
        problem = tr("another trainer was started meanwhile")
    elif "stopped" in (trainer.state, record.wanted) or trainer.state in ("stopping", "elsewhere"):
        problem = tr("the trainer was stopped on purpose")
    elif trainer.state in ("lost", "unknown"):
        problem = tr("whether the trainer runs can't be seen ({state})", state=STATE_TEXTS[trainer.state])
    return Window(rows, trainer.alive, fatal, trainer.silent_s), problem


def _rows_of(layout: Layout, record: ProcessRecord) -> Sequence[Mapping[str, str]]:
    """The metrics of this run since its start."""
    return metrics_since(layout, record.metrics_since, record.generation)
