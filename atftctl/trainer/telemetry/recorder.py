"""What the trainer says: events (typed, one line of JSON each), metrics (csv), a log for people."""

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

FATAL = (protocol.OOM, protocol.ANOMALY, protocol.STOPPED, protocol.WORKER_LOST, protocol.SAVE_FAILED)


class Recorder:
    """Writes into one run folder. A last word is fsynced: the machine may be about to die.

    Of several processes the lead alone writes; the others raise an alarm when something happens to them.
    """

    def __init__(self, root: Path, horizons: tuple[int, ...], *, rank: int = 0) -> None:
        self._rank = rank
        self.is_main = rank == 0
        self.run_id = os.environ.get(protocol.RUN_ID, "")
        self.step = 0
        for name in (protocol.LOG, protocol.BEST):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        self._columns = [
            "step", "epoch", "loss", "loss_rel", "mse", "val_loss", *(f"rankic_h{one}" for one in horizons),
            "grad_norm", "lr", "rss_mb", "step_s",
        ]  # fmt: skip
        self._events, self._metrics = _Lines(root / protocol.EVENTS), _Lines(root / protocol.METRICS)
        if self.is_main and horizons:
            self._begin_metrics(root / protocol.METRICS)
        self.log = _logger(root / protocol.LOG, logging.INFO if self.is_main else logging.ERROR)

    def _begin_metrics(self, path: Path) -> None:
        """A header for a new file; one that has other columns (other horizons) is put aside, as a rotation would."""
        header = ",".join(self._columns)
        if not self._metrics.empty and first_line(path) != header:
            names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
            with suppress(OSError):
                path.rename(next(name for name in names if not name.exists()))
            self._metrics.reopened()
        if self._metrics.empty:
            self._metrics.add(f"{header}\n".encode())

    def event(self, name: str, **fields: Any) -> None:
        if self.is_main:
            self.any_rank_event(name, **fields)

    def any_rank_event(self, name: str, **fields: Any) -> None:
        """An event that any process may have to write."""
        if not self.is_main:
            fields["rank"] = self._rank
        line = protocol.event_line(name, t=time.time(), pid=os.getpid(), run_id=self.run_id, step=self.step, **fields)
        self._events.add(line, durable=name in FATAL)

    def metrics(self, row: dict[str, Any]) -> None:
        if not self.is_main:
            return
        if self._metrics.reopened():
            self._metrics.add((",".join(self._columns) + "\n").encode())
        self._metrics.add((",".join(_cell(row.get(name)) for name in self._columns) + "\n").encode())

    def warn(self, message: str) -> None:
        self.log.warning(message)
        self.event(protocol.WARNING, message=message)


class _Lines:
    """A file that grows by lines. A line that a full disk has no room for is lost, and training goes on; one that was
    written half is closed before the next, so that it does not take that with it.

    A file that was rotated away is left, and a new one begun under its name.
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

    def reopened(self) -> bool:
        """Open the file anew where another one, or none, has its name by now; True where it is empty then."""
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

    def add(self, line: bytes, *, durable: bool = False) -> None:
        self.reopened()
        whole = b"\n" + line if self._torn else line
        try:
            written = os.write(self._file, whole)
            self._torn = written < len(whole)
            if durable:
                os.fsync(self._file)
        except OSError:
            return


def first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline(64 << 10).decode("utf-8", "replace").rstrip("\r\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)


class _Stderr(logging.StreamHandler[TextIO]):
    """To whatever standard error is at the time: a progress bar redirects it, so that lines stand above the bar."""

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
    """Anonymous resident memory of this process in MB; mapped file pages are not counted."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0
