"""Asking, and telling what goes on meanwhile."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

from atftctl.cli.render import console
from atftctl.cli.terminal import emit, printable
from atftctl.domain.errors import Refused
from atftctl.domain.plan import ChangePackages, Plan, RemoveSnapshot, RunStage
from atftctl.domain.text import listed, size_words


def confirm(plan: Plan, diff: tuple[str, ...]) -> bool:
    """Show the plan and ask. Raises Refused where there is no terminal to ask."""
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask, and no --yes", then="look with --dry-run, then run it with --yes")
    console.plan(plan, diff)
    try:
        answer = input(f"{printable(_summary(plan))}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes", "はい")


def _summary(plan: Plan) -> str:
    """The plan in one line, for the question under it."""
    kinds = Counter(type(step) for step in plan.steps)
    words = [f"stop pid {step.pid}" for step in plan.stops]
    if plan.targets:
        words.append(f"change {listed([target.path for target in plan.targets], 3)}")
    if plan.code:
        words.append(f"move {plan.code.branch.removeprefix('refs/heads/')}")
    if kinds[ChangePackages]:
        words.append("change the environment's packages")
    if kinds[RunStage]:
        words.append(f"go through up to {kinds[RunStage]} stages, each with a restart")
    if kinds[RemoveSnapshot]:
        words.append(f"remove {kinds[RemoveSnapshot]} snapshots for good")
    if plan.start:
        words.append(f"start the trainer from {plan.start.resume}")
    if plan.reload:
        words.append("have the running trainer take it up")
    text = ", ".join(words) or "recover"
    return text[0].upper() + text[1:]


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
            f"{self._words} … {size_words(self._done)} of {size_words(self._total)}, "
            f"{size_words(rate)}/s, {left_s:.0f} s left"
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
