"""What is going on, told on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any

from atftctl.cli.terminal import emit, printable
from atftctl.domain.text import size_text

PARTS = {
    "stop": "waiting for the trainer to save and leave",
    "first step": "waiting for the trainer's first step",
    "probes": "measuring in a scratch folder, about half a minute",
    "service": "watching the trainer's steps",
    "snapshot": "copying what stands now",
    "copy": "copying",
    "hash": "hashing the copies",
    "compare": "comparing",
    "watch": "watching the trainer",
    "reload": "waiting for the trainer to take it up",
    "bisect": "a probe run",
}


class Teller:
    """A reporter: a line of what goes on, on a terminal in place, else only the notes. Always on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Any = None
        self._words = ""
        self._total = self._done = 0
        self._begun = self._shown = 0.0

    def part(self, name: str) -> None:
        if self._quiet or not sys.stderr.isatty():
            return
        if self._live is None:
            from rich.console import Console

            self._live = Console(stderr=True).status("")
            self._live.start()
        self._words = PARTS.get(name, name)
        self._total = 0
        self._live.update(f"{self._words} …")

    def expect(self, total: int) -> None:
        self._total, self._done = total, 0
        self._begun = self._shown = time.monotonic()

    def progress(self, done: int) -> None:
        """How far, how fast, how long still; four times a second, where it lasts over a second."""
        self._done += done
        at = time.monotonic()
        if self._live is None or not self._total or at - self._begun < 1 or at - self._shown < 0.25:
            return
        self._shown = at
        rate = self._done / (at - self._begun)
        left_s = max(self._total - self._done, 0) / rate
        self._live.update(
            f"{self._words} … {size_text(self._done)} of {size_text(self._total)}, "
            f"{size_text(rate)}/s, {left_s:.0f} s left"
        )

    def note(self, text: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(f"  {printable(text)}", markup=False, highlight=False, soft_wrap=True)
        else:
            emit(f"  {text}", stream=sys.stderr)
            sys.stderr.flush()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
