"""What the trainer writes: events (typed, one line of JSON each), metrics (CSV) and a log for people."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, TextIO

from atftctl import protocol
from atftctl.protocol import generations

FATAL = (protocol.OOM, protocol.ANOMALY, protocol.STOPPED, protocol.WORKER_LOST, protocol.SAVE_FAILED, protocol.FENCED)


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
        self._columns = ["step", "epoch", *losses, *rankic, "grad_norm", "lr", "rss_mb", "step_s"]
        self._columns.append(protocol.GENERATION_COLUMN)
        self._events, self._metrics = _LineFile(root / protocol.EVENTS), _LineFile(root / protocol.METRICS)
        if self.is_main and horizons:
            self._begin_metrics(root / protocol.METRICS)
        self.log = _logger(root / protocol.LOG, logging.INFO if self.is_main else logging.ERROR)

    def _begin_metrics(self, path: Path) -> None:
        """Write the header of a new file. A file with other columns (other horizons, or an earlier version) is renamed,
        as by a rotation."""
        header = ",".join(self._columns)
        if not self._metrics.empty and first_line(path) != header:
            names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
            with suppress(OSError):
                path.rename(next(name for name in names if not name.exists()))
            self._metrics.reopen_if_rotated()
        if self._metrics.empty:
            self._metrics.append(f"{header}\n".encode())

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
        row = {**row, protocol.GENERATION_COLUMN: self.generation}
        if self._metrics.reopen_if_rotated():
            self._metrics.append((",".join(self._columns) + "\n").encode())
        self._metrics.append((",".join(_cell(row.get(name)) for name in self._columns) + "\n").encode())

    def warn(self, message: str) -> None:
        """Write a warning to the log and as an event."""
        self.log.warning(message)
        self.event(protocol.WARNING, message=message)


class _LineFile:
    """A file to which lines are appended.

    A line for which a full disk has no room is lost, and training goes on. A line that was written only in part is
    ended before the next line, so that the next line is whole. When the file was renamed by a rotation, a new file is
    begun under its name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        facts = os.fstat(self._file)
        self._identity = facts.st_dev, facts.st_ino
        self.empty = facts.st_size == 0
        self._torn = facts.st_size > 0 and os.pread(self._file, 1, facts.st_size - 1) != b"\n"

    def reopen_if_rotated(self) -> bool:
        """Open the path again if it no longer names the open file; return whether a new, empty file was opened."""
        try:
            facts = self._path.stat()
            if (facts.st_dev, facts.st_ino) == self._identity:
                return False
        except FileNotFoundError:
            pass
        except OSError:
            return False
        old = self._file
        try:
            self._open()
        except OSError:
            return False
        os.close(old)
        return self.empty

    def append(self, line: bytes, *, durable: bool = False) -> None:
        """Write one line, with its line break; `durable` waits until it is on the disk."""
        self.reopen_if_rotated()
        whole = b"\n" + line if self._torn else line
        try:
            written = os.write(self._file, whole)
            self._torn = written < len(whole)
            if durable:
                os.fsync(self._file)
        except OSError:
            return


def first_line(path: Path) -> str:
    """Return the first line (at most 64 KiB of it) without its line break."""
    with path.open("rb") as file:
        return file.readline(64 << 10).decode("utf-8", "replace").rstrip("\r\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


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


def rss_anon_mb() -> float:
    """Return the anonymous resident memory of this process in MB. Pages of mapped files do not count."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0
