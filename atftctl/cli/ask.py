"""Asking, and telling what goes on meanwhile."""

from __future__ import annotations

import sys
from typing import Any

from atftctl.cli import show
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan


def confirm(plan: Plan, diff: tuple[str, ...]) -> bool:
    """Show the plan and ask. Raises Refused where there is no terminal to ask."""
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask, and no --yes", then="look with --dry-run, then run it with --yes")
    show.plan(plan, diff)
    try:
        answer = input("Apply this? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes", "はい")


class Teller:
    """A reporter: a line of what goes on, on a terminal in place, else only the notes. Always on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Any = None

    def part(self, name: str) -> None:
        if self._quiet or not sys.stderr.isatty():
            return
        if self._live is None:
            from rich.console import Console

            self._live = Console(stderr=True).status(name)
            self._live.start()
        self._live.update(f"{name} …")

    def note(self, text: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"  {text}\n")
            sys.stderr.flush()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
