"""Observe the recorded trainer again and again: what costs much is looked at only where it may have changed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from atftctl.domain.facts import Process
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.runbook import TrainerRules
from atftctl.observe.trainer_run import event_log, process
from atftctl.state import process_record
from atftctl.state.engines.choice import engine_of
from atftctl.state.layout import Layout

FULLY_S = 30.0  # after so many seconds, everything is looked at again, such as trainers that were started by hand


class RecordWatcher:
    """Reads the record of the trainer, again where its file has changed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: tuple[int, ...] = (-1,)
        self.record: ProcessRecord | None = None

    def look(self) -> bool:
        """Has the record changed since the last call?"""
        facts = _facts(self._layout.process)
        if facts == self._known:
            return False
        self._known, self.record = facts, process_record.read(self._layout)
        return True


class ProcessWatcher:
    """Observes the recorded trainer."""

    def __init__(self, layout: Layout, rules: TrainerRules) -> None:
        self._layout, self._rules = layout, rules
        self._process = Process()
        self._main: TrainerIdentity | None = None
        self._looked = -FULLY_S
        self._journal: tuple[int, ...] = ()

    def look(self, record: ProcessRecord | None, step: int, silent_from: float, *, changed: bool) -> Process:
        """The trainer as it is now.

        step: its newest one, by the metrics. silent_from: no silence is counted from before this time (Unix seconds).
        changed: the record or the events are others than at the last look.
        """
        journal = _facts(self._layout.journal)
        due = time.monotonic() - self._looked > FULLY_S or journal != self._journal
        died = self._process.alive and (
            self._main is None or not engine_of(record).is_running(self._layout, record, self._main)
        )
        if changed or due or died or record is None:
            self._process = process.observe(self._layout, self._rules)
            self._main = engine_of(record).find(self._layout, record) if record and self._process.alive else None
            self._looked, self._journal = time.monotonic(), journal
        if record is None or self._main is None:
            return self._process
        section, silent_s = _sign_of_life(self._layout, record, silent_from)
        return replace(
            self._process, step=step if step >= 0 else self._process.step, section=section, silent_s=silent_s
        )


def _sign_of_life(layout: Layout, record: ProcessRecord, silent_from: float) -> tuple[str, float | None]:
    """As `process` has it, without the time in which nobody looked."""
    beat = event_log.heartbeat(layout.root, record.run_id)
    if not beat:
        return "", None
    age = time.time() - max(float(beat["t"]), silent_from)
    return str(beat.get("section", "")), age if age > float(beat["limit_s"]) else None


def _facts(path: Path) -> tuple[int, ...]:
    """What changes when a file, or the names in a folder, change; empty where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return ()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
