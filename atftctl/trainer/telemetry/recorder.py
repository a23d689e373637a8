"""What the trainer writes: events (typed, one line of JSON each), metrics (CSV) and a log for people."""

from __future__ import annotations

import logging
import os
import sys
import time
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from atftctl import protocol
from atftctl.hooks.reporter import FATAL, LineFile, MetricsFile
from atftctl.protocol import generations


class Recorder:
    """Writes events, metrics and log of one run folder. Fatal events are fsynced: the machine may be about to fail.

    Of several processes only the main process writes; the others write an event when something happens to them alone.
    """

    def __init__(self, root: Path, horizons: tuple[int, ...], *, rank: int = 0) -> None:
        """`horizons` in days give metrics.csv its columns; without horizons no metrics are written."""
        self._rank = rank
        self.is_main = rank == 0
        self.run_id = os.environ.get(protocol.RUN_ID, "")
        self.generation = generations.own(os.environ, root)
        self.step = 0
        for name in (protocol.LOG, protocol.BEST):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        rankic = (f"rankic_h{horizon}" for horizon in horizons)
        losses = ("loss", "loss_rel", "mse", "val_loss")
        columns = ["step", "epoch", *losses, *rankic, "grad_norm", "lr", "rss_mb", "step_s", protocol.GENERATION_COLUMN]
        self._events, self._metrics = LineFile(root / protocol.EVENTS), MetricsFile(root / protocol.METRICS, columns)
        self._events.open()
        if self.is_main and horizons:
            self._metrics.begin()
        self.log = _logger(root / protocol.LOG, logging.INFO if self.is_main else logging.ERROR)

    def event(self, name: str, **fields: Any) -> None:
        """Write an event, with time, pid, run id, generation and step; in the main process only."""
        if self.is_main:
            self.any_rank_event(name, **fields)

    def any_rank_event(self, name: str, **fields: Any) -> None:
        """Write an event in whichever process calls this; `rank` is added outside the main process."""
        if not self.is_main:
            fields["rank"] = self._rank
        line = protocol.event_line(
            name,
            t=time.time(),
            pid=os.getpid(),
            run_id=self.run_id,
            generation=self.generation,
            step=self.step,
            **fields,
        )
        self._events.append(line, durable=name in FATAL)

    def metrics(self, row: dict[str, Any]) -> None:
        """Write one row of metrics.csv, with the generation; a column that `row` lacks stays empty. In the main process
        only."""
        if not self.is_main:
            return
        self._metrics.append([{**row, protocol.GENERATION_COLUMN: self.generation}])

    def warn(self, message: str) -> None:
        """Write a warning to the log and as an event."""
        self.log.warning(message)
        self.event(protocol.WARNING, message=message)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`: a progress bar replaces it, so that log lines appear above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _logger(path: Path, level: int) -> logging.Logger:
    logger = logging.getLogger("atftctl.trainer")
    logger.handlers.clear()
    logger.propagate = False
    logger.setLevel(level)
    line = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    for handler in (WatchedFileHandler(path, encoding="utf-8"), _Stderr()):
        handler.setFormatter(line)
        logger.addHandler(handler)
    return logger
