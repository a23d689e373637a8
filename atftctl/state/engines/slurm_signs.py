"""What a run itself says of its life and its end, in files of the project: a scheduler's word is a claim, this is not.

Times in these files come from the clock of the node, which may differ from ours by minutes. So silence is measured by
our own clock, between two looks.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.record import record as frozen
from atftctl.host.files.logs import real_path, tail
from atftctl.state import exits, sealed_records
from atftctl.state.exits import End
from atftctl.state.layout import Layout

LINES = 200  # of the events, the newest
KEEPER_S = 15.0  # how long the keeper may be silent: three of its beats
SKEW_S = 300.0  # by how much the clock of a node may differ from ours, where only one look is taken


@frozen
class Signs:
    """What the files of a run say now. `began`: the job has begun, on `host`. `over`: none of its processes
    is left, by its own word or as it was shown before. `final`: the trainer has written its final event.
    `beat_s`: seconds since its last sign of life by the clocks, None where it gives none; `limit_s`: how long it may be
    silent. `step`: of that sign, None where it has none. `end`: how the trainer ended."""

    began: bool = False
    host: str = ""
    over: bool = False
    final: bool = False
    beat_s: float | None = None
    limit_s: float = 0.0
    step: int | None = None
    end: End | None = None

    @property
    def fresh(self) -> bool:
        """Does it give signs of life, as far as the clocks agree?"""
        return self.beat_s is not None and self.beat_s <= self.limit_s

    @property
    def silent(self) -> bool:
        """Has it been silent for longer than it may be, whatever the clocks show?"""
        return self.beat_s is not None and self.beat_s > self.limit_s + SKEW_S


def signs_of(layout: Layout, record: ProcessRecord) -> Signs:
    """Read what the run has written."""
    report = sealed_records.try_json(exits.place(layout, record.run_id)) if record.run_id else {}
    beat = _beat(layout.root, record.run_id)
    step = beat.get("step")
    began = "job" in report
    ages, limits = _ages(layout, record, beat, began=began)
    return Signs(
        began=began,
        host=str(report.get("host", "")),
        over=report.get("over") is True or exits.is_closed(layout, record.run_id),
        final=_has_final(layout.root, record),
        beat_s=min(ages, default=None),
        limit_s=max(limits, default=0.0),
        step=step if type(step) is int else None,
        end=_end(layout, record, report),
    )


def _ages(
    layout: Layout, record: ProcessRecord, beat: Mapping[str, Any], *, began: bool
) -> tuple[list[float], list[float]]:
    """The seconds since each sign of life, by the clocks, and how long each may be missing: the heartbeat of the
    trainer, where it has one, and that of its keeper."""
    ages, limits = [], []
    now = datetime.now().astimezone().timestamp()
    if beat:
        ages.append(now - float(beat["t"]))
        limits.append(float(beat.get("limit_s", 0)))
    with suppress(OSError):
        if began:
            ages.append(now - exits.place(layout, record.run_id).stat().st_mtime)
            limits.append(KEEPER_S)
    return ages, limits


def _beat(root: Path, run_id: str) -> Mapping[str, Any]:
    beat = sealed_records.try_json(real_path(root, protocol.HEARTBEAT))
    numbers = all(protocol.is_number(beat.get(name)) for name in ("t", "limit_s"))
    return beat if numbers and beat.get("run_id") == run_id else {}


def _has_final(root: Path, record: ProcessRecord) -> bool:
    if not record.run_id:  # submitted by hand: its events can not be told from those of earlier ones
        return False
    for line in tail(root, protocol.EVENTS, LINES):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.get("run_id") == record.run_id and event.get("event") == protocol.STOPPED:
            return True
    return False


def _end(layout: Layout, record: ProcessRecord, report: Mapping[str, Any]) -> End | None:
    main = report.get("pid")
    return next((end for end in reversed(exits.read(layout, record.run_id)) if end.pid == main), None)


class Quiet:
    """Whether the files of a run have changed, by our own clock."""

    def __init__(self, layout: Layout, record: ProcessRecord) -> None:
        names = (protocol.HEARTBEAT, protocol.EVENTS, protocol.METRICS, protocol.LOG, record.output)
        models = (protocol.LAST, protocol.BEST)
        self._paths = [real_path(layout.root, name) for name in (*names, *models)]
        self._paths += [exits.place(layout, record.run_id)] if record.run_id else []
        self._known: list[tuple[int, ...]] = []
        self._since = time.monotonic()

    def seconds(self) -> float:
        """Look again; return for how many seconds nothing has changed."""
        facts = [_facts(path) for path in self._paths]
        if facts != self._known:
            self._known, self._since = facts, time.monotonic()
        return time.monotonic() - self._since


def _facts(path: Path) -> tuple[int, ...]:
    try:
        facts = os.stat(path)  # noqa: PTH116 - follows the symlinks of models
    except OSError:
        return ()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
