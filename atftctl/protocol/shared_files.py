"""The files of a run whose program may write them itself, or may learn to: what it writes is left to it.

Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from atftctl import protocol
from atftctl.protocol.run_files import RunFiles, first_line

FINAL = (protocol.STOPPED, protocol.FENCED)


@dataclass
class SharedFiles(RunFiles):
    """As RunFiles, but for these: `speaks`: the program of this run writes events; then it alone tells of steps and
    faults, and of how it ended if it gets to that. `others_metrics`: the metrics are of another program; then no row is
    written. `kept`: they were there before, with other columns."""

    speaks: bool = False
    others_metrics: bool = False
    kept: bool = False
    _told_end: bool = False
    _before: tuple[int, int, int] | None = None

    def event(self, name: str, **fields: Any) -> None:
        """Write an event, unless the program writes its own."""
        self.look()
        if not self.speaks or (name in FINAL and not self._told_end):
            super().event(name, **fields)

    def beat(self, section: str, limit_s: float) -> None:
        """Write the heartbeat, unless the program writes its own."""
        if not self.speaks:
            super().beat(section, limit_s)

    def expect_metrics(self, columns: Sequence[str]) -> None:
        """Name the columns; the file is begun with the first row, so that a program that writes it itself is first."""
        self._columns = (*columns, protocol.GENERATION_COLUMN)
        self._before = self._facts()
        header = first_line(self.metrics)
        self.kept = self.others_metrics = bool(header) and protocol.GENERATION_COLUMN not in header.split(",")

    def rows(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Write rows of the metrics, unless another program writes them."""
        self.look()
        if not self.others_metrics and self._metrics is None:
            self.others_metrics = self._facts() != self._before
        if not self.others_metrics and self._metrics is None:
            self.begin_metrics(self._columns[:-1])
        if not self.others_metrics:
            super().rows(rows)

    def look(self) -> None:
        """See what others have written into the files since the last look."""
        for line in self._events.others().splitlines() if self._events else ():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and self.run_id and event.get("run_id") == self.run_id:
                    self.speaks = self.others_metrics = True
                    self._told_end |= event.get("event") in FINAL
        if self._metrics and not self.others_metrics:
            header = first_line(self.metrics)
            self.others_metrics = bool(self._metrics.others()) or header not in ("", self.header.rstrip("\n"))

    def _facts(self) -> tuple[int, int, int] | None:
        try:
            facts = self.metrics.lstat()
        except OSError:
            return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns
