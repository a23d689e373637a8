"""Progress on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from atftctl.cli.terminal import emit, printable
from atftctl.domain.text import size_text

if TYPE_CHECKING:
    from rich.status import Status

PARTS = {
    "stop": "waiting for the trainer to save and exit",
    "first step": "waiting for the trainer's first step",
    "probes": "measuring in a scratch folder, about half a minute",
    "service": "watching the trainer's steps",
    "snapshot": "taking a snapshot",
    "copy": "copying",
    "hash": "hashing the copies",
    "compare": "comparing",
    "watch": "watching the trainer",
    "reload": "waiting for the trainer to load the settings",
    "bisect": "running a short training",
}


class ProgressReporter:
    """A reporter: on a terminal one line that changes in place, else only the notes. Always on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Status | None = None
        self._text = ""
        self._total = self._done = 0
        self._begun = self._shown = 0.0

    def part(self, name: str) -> None:
        """A part of the operation begins."""
        if self._quiet or not sys.stderr.isatty():
            return
        if self._live is None:
            from rich.console import Console

            self._live = Console(stderr=True).status("")
            self._live.start()
        self._text = PARTS.get(name, name)
        self._total = 0
        self._live.update(f"{self._text} …")

    def expect(self, total: int) -> None:
        """This part will copy or hash so many bytes."""
        self._total, self._done = total, 0
        self._begun = self._shown = time.monotonic()

    def progress(self, done: int) -> None:
        """So many bytes more are done. Shown four times a second, from the second second on."""
        self._done += done
        at = time.monotonic()
        if self._live is None or not self._total or at - self._begun < 1 or at - self._shown < 0.25:
            return
        self._shown = at
        rate = self._done / (at - self._begun)
        left_s = max(self._total - self._done, 0) / rate
        self._live.update(
            f"{self._text} … {size_text(self._done)} of {size_text(self._total)}, "
            f"{size_text(rate)}/s, {left_s:.0f} s left"
        )

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(f"  {printable(text)}", markup=False, highlight=False, soft_wrap=True)
        else:
            emit(f"  {text}", stream=sys.stderr)
            sys.stderr.flush()

    def stop(self) -> None:
        """Remove the line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
