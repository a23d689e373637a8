"""Progress on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from threading import Event, Lock, Thread

from atftctl.cli.render.console import draw_in_place, say
from atftctl.cli.render.translation import localize
from atftctl.domain.text import size_text
from atftctl.protocol.messages import tr

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
    "decide": tr("reading the project"),
    "evidence": tr("saving the evidence"),
    "files": tr("changing the files"),
}
VISIBLE_AFTER_S = 1.0
REDRAW_S = 0.25


class ProgressReporter:
    """A reporter. On a terminal: one line that changes in place, from the second second of a part on; else only the
    notes. Always on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._in_place = not quiet and sys.stderr.isatty()
        self._text = ""
        self._total = self._done = 0
        self._begun = 0.0
        self._drawn = False
        self._lock = Lock()
        self._ended: Event | None = None

    def part(self, name: str) -> None:
        """A part of the operation begins."""
        if not self._in_place:
            return
        with self._lock:
            self._erase()
            self._text, self._begun, self._total = localize(PARTS.get(name, name)), time.monotonic(), 0
        if self._ended is None:
            self._ended = Event()
            Thread(target=self._redraw, args=(self._ended,), daemon=True).start()

    def expect(self, total: int) -> None:
        """This part will copy or hash so many bytes."""
        self._total, self._done = total, 0

    def progress(self, done: int) -> None:
        """So many bytes more are done."""
        self._done += done

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._quiet:
            return
        with self._lock:
            self._erase()
            say(text, lead="  ", hang=4, stream=sys.stderr)
            sys.stderr.flush()

    def stop(self) -> None:
        """Remove the line."""
        with self._lock:
            if self._ended is not None:
                self._ended.set()
                self._ended = None
            self._erase()

    def _redraw(self, ended: Event) -> None:
        while not ended.wait(REDRAW_S):
            with self._lock, suppress(OSError, ValueError):  # progress that can't be shown must not stop a rescue
                spent = time.monotonic() - self._begun
                if spent >= VISIBLE_AFTER_S and not ended.is_set():
                    draw_in_place(self._line(spent))
                    self._drawn = True

    def _line(self, spent: float) -> str:
        if not self._total or not self._done:
            return tr("{part} … {seconds:.0f} s", part=self._text, seconds=spent)
        rate = self._done / spent
        return tr(
            "{part} … {done} of {total}, {rate}/s, {left:.0f} s left",
            part=self._text,
            done=size_text(self._done),
            total=size_text(self._total),
            rate=size_text(rate),
            left=max(self._total - self._done, 0) / rate,
        )

    def _erase(self) -> None:
        if self._drawn:
            with suppress(OSError, ValueError):
                draw_in_place("")
        self._drawn = False
