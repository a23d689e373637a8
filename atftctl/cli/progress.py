"""Progress on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from threading import Lock, Timer, current_thread
from typing import TYPE_CHECKING

from atftctl.cli.render.console import say
from atftctl.cli.render.translation import localize
from atftctl.domain.text import size_text
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from rich.status import Status

PARTS = {
    "stop": tr("waiting for the trainer to save and exit"),
    "first step": tr("waiting for the trainer's first step"),
    "probes": tr("measuring in a scratch folder (takes about half a minute)"),
    "service": tr("watching the trainer's steps"),
    "snapshot": tr("taking a snapshot"),
    "copy": tr("copying"),
    "hash": tr("hashing the copies"),
    "compare": tr("comparing"),
    "watch": tr("watching the trainer"),
    "reload": tr("waiting for the trainer to load the settings"),
    "bisect": tr("running a short training"),
    "rehearsal": tr("training in a scratch copy (takes about half a minute)"),
    "decide": tr("reading the project"),
    "evidence": tr("saving the evidence"),
    "files": tr("changing the files"),
    "logs": tr("reading the logs"),
    "metrics": tr("reading the metrics"),
    "replay": tr("feeding the metrics to the detectors"),
    "grade": tr("testing whether the checkpoint can be trained from"),
    "start": tr("starting the trainer"),
    "packages": tr("removing packages"),
    "revert": tr("reverting the commits in a separate work tree"),
    "smoke check": tr("testing the reverted code"),
    "timer": tr("setting the timer that undoes this change"),
    "look": tr("reading the snapshots"),
    # the parts of a drill
    "scratch copy": tr("making a scratch copy"),
    "healthy run": tr("training a healthy model"),
    "baseline": tr("recording the baseline"),
    "fault": tr("making the fault"),
    "incident": tr("waiting until the watcher has rolled back"),
    "outcome": tr("waiting for the watcher's verdict"),
    "training": tr("waiting until the new training has come as far"),
    "verify": tr("checking the service"),
    "re-enable": tr("turning the first improvements on again"),
}
VISIBLE_AFTER_S = 1.0
REDRAW_S = 0.25


class ProgressReporter:
    """A reporter: on a terminal, one line that changes in place while a part takes more than a second; else only the
    notes. Always on standard error. Progress that can't be shown never stops a command."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._in_place = not quiet and sys.stderr.isatty()
        self._text = self._reached = ""
        self._total = self._done = 0
        self._begun = self._drawn = 0.0
        self._lock = Lock()
        self._timer: Timer | None = None
        self._status: Status | None = None

    def part(self, name: str) -> None:
        """A part of the operation begins."""
        if not self._in_place:
            return
        self.stop()
        self._text, self._reached = localize(PARTS.get(name, name)), ""
        self._begun, self._total = time.monotonic(), 0
        self._timer = Timer(VISIBLE_AFTER_S, self._show_late)
        self._timer.daemon = True
        self._timer.start()

    def expect(self, total: int) -> None:
        """This part will copy or hash so many bytes."""
        self._total, self._done = total, 0

    def progress(self, done: int) -> None:
        """So many bytes more are done."""
        self._done += done
        self._redraw()

    def reached(self, text: str) -> None:
        """How far this part is."""
        self._reached = localize(text)
        self._redraw()

    def _redraw(self) -> None:
        now = time.monotonic()
        if self._status is not None and now - self._drawn >= REDRAW_S:
            self._drawn = now
            with self._lock, suppress(OSError, ValueError):
                self._status.update(self._line())

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._quiet:
            return
        with self._lock:  # the timer waits meanwhile, and shows a part that takes long after that
            shown = self._status is not None
            self._hide()
            with suppress(OSError, ValueError):  # its reader has gone: what is under way must not stop for that
                say(text, lead="  ", hang=4, stream=sys.stderr)
                sys.stderr.flush()
            if shown:
                self._show()

    def stop(self) -> None:
        """Remove the line."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._hide()

    def _hide(self) -> None:
        if self._status is not None:
            with suppress(OSError, ValueError):
                self._status.stop()
            self._status = None

    def _show_late(self) -> None:
        """What the timer calls. Its part may have ended meanwhile: then nothing may be drawn, over a question for
        instance."""
        with self._lock:
            if self._timer is current_thread():
                self._show()

    def _show(self) -> None:
        with suppress(OSError, ValueError, ImportError):
            from rich.console import Console
            from rich.status import Status

            self._status = Status(self._line(), console=Console(stderr=True, highlight=False, markup=False))
            self._status.start()

    def _line(self) -> str:
        spent = time.monotonic() - self._begun
        if self._reached:
            return localize(tr("{part} … {reached}", part=self._text, reached=self._reached))
        if not self._total or not self._done:
            return tr("{part} …", part=self._text)
        rate = self._done / spent
        return localize(
            tr(
                "{part} … {done} of {total}, {rate}/s, {left:.0f} s left",
                part=self._text,
                done=size_text(self._done),
                total=size_text(self._total),
                rate=size_text(rate),
                left=max(self._total - self._done, 0) / rate,
            )
        )
