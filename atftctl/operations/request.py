"""How a change is asked for, and how its time is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from atftctl.domain.plan import Plan
from atftctl.domain.result import Part, Reporter, Result, Silent
from atftctl.protocol import Exit

Confirm = Callable[[Plan, tuple[str, ...]], bool]


def yes(plan: Plan, diff: tuple[str, ...]) -> bool:
    del plan, diff
    return True


@dataclass(frozen=True)
class Request:
    """How a change is asked for."""

    reason: str = ""
    dry_run: bool = False
    or_undo: bool = False  # a change that is not healthy is put back
    confirm: Confirm = yes
    seen: Confirm = yes  # told of every plan before anything else is done with it; may raise
    report: Reporter = field(default_factory=Silent)


def dry_run(plan: Plan, diff: Sequence[str] = (), parts: Sequence[Part] = (), **data: Any) -> Result:
    """How every dry run of a plan ends."""
    data = {"dry_run": True, "diff": list(diff), **data}
    return Result(plan.command, Exit.DONE, f"dry run: {plan.title}", plan=plan, parts=tuple(parts), data=data)


class Stopwatch:
    """How long each part took; tells the reporter when one begins."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self.parts: list[Part] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._report.part(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.parts.append(Part(name, time.monotonic() - begun))
