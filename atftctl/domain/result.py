"""What a verb returns: the renderer shows it to people or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from atftctl.domain.plan import Plan
from atftctl.protocol import Exit


@dataclass(frozen=True)
class Part:
    """One part of an operation and the seconds that it took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Result:
    """The end of one verb. `headline` is one line; `lines` follow it; `data` is what JSON carries."""

    command: str
    exit_code: Exit
    headline: str
    lines: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    parts: tuple[Part, ...] = ()
    contacts: tuple[str, ...] = ()


class Reporter(Protocol):
    """Told what goes on while it goes on; only cli implements one that prints."""

    def part(self, name: str) -> None: ...

    def note(self, text: str) -> None: ...

    def expect(self, total: int) -> None: ...  # so many bytes are to be copied or hashed in this part

    def progress(self, done: int) -> None: ...  # so many bytes more are done


class Silent:
    """A reporter that says nothing."""

    def part(self, name: str) -> None:
        del name

    def note(self, text: str) -> None:
        del text

    def expect(self, total: int) -> None:
        del total

    def progress(self, done: int) -> None:
        del done
