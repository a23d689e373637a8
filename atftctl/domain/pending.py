"""A change that waits for its confirmation, and when that time is over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from atftctl.domain.duration import about_text, duration_text
from atftctl.protocol.messages import tr

OPERATION = re.compile(r"\d{8}_\d{6}-[0-9a-f]{4}")  # the id of an operation; it names a folder


def clock_text(written: str) -> str:
    """A time as `2026-11-30 08:45:16`, in the zone that it was written with. `written`: ISO 8601. Raises ValueError."""
    return datetime.fromisoformat(written).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class Moment:
    """A point in time on two clocks. `boottime`: CLOCK_BOOTTIME in seconds, which nobody can set, and which goes on
    while the machine is suspended; it is valid within the boot with the id `boot`. `wall`: the time of day, with its
    zone."""

    boottime: float
    boot: str
    wall: datetime


@dataclass(frozen=True)
class PendingChange:
    """A change that is undone unless it is confirmed in time. It is kept on disk from before the change is made.

    `within_s`: how long the operator has, in seconds. `deadline`: its end on CLOCK_BOOTTIME of the boot `boot`;
    `deadline_at`: the same by the time of day. `restart`: the undo may restart the trainer. `live`: the change was
    loaded into the running trainer. `tool`: folder of the private copy of atftctl that the timer runs from.
    `expired_at`: when the undo began, or "". `problem`: why the undo failed, or "".
    """

    operation: str
    command: str
    title: str
    operator: str
    reason: str
    asked_at: str
    within_s: int
    deadline: float
    boot: str
    deadline_at: str
    by_verify: bool = False
    restart: bool = True
    live: bool = False
    tool: str = ""
    expired_at: str = ""
    problem: str = ""

    def left_s(self, now: Moment) -> float:
        """The seconds that are left; 0 or less where the time is over.

        After a reboot only the time of day is known. A clock that was set back gives at most the whole time again.
        """
        if now.boot == self.boot:
            return min(self.deadline - now.boottime, self.within_s)
        return min((datetime.fromisoformat(self.deadline_at) - now.wall).total_seconds(), self.within_s)

    @property
    def name(self) -> str:
        """The operation and its title."""
        return tr("{command} {operation} ({title})", command=self.command, operation=self.operation, title=self.title)

    @property
    def until(self) -> str:
        """The end of the time, as people read it."""
        return clock_text(self.deadline_at)

    @property
    def why_undone(self) -> str:
        """The reason of the undo, for the history."""
        return tr("not confirmed within {duration}", duration=duration_text(self.within_s))

    def summary(self, now: Moment) -> str:
        """The sentence that says what waits, for how long, and who asked for it."""
        return tr(
            "{change} waits for its confirmation: {left} left (until {time}, asked for by {operator})",
            change=self.name,
            left=about_text(self.left_s(now)),
            time=self.until,
            operator=self.operator,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> PendingChange:
        """The change that a JSON object describes. Raises KeyError, TypeError or ValueError where it describes none."""
        record = cls(**{name: body[name] for name in cls.__dataclass_fields__})
        texts = (record.command, record.title, record.operator, record.reason, record.asked_at, record.boot)
        flags = (record.by_verify, record.restart, record.live)
        if not (
            OPERATION.fullmatch(record.operation)
            and all(isinstance(text, str) for text in (*texts, record.tool, record.expired_at, record.problem))
            and all(isinstance(flag, bool) for flag in flags)
            and type(record.within_s) is int
            and isinstance(record.deadline, int | float)
            and datetime.fromisoformat(record.deadline_at).tzinfo is not None
        ):
            raise ValueError(tr("a value of the record is wrong"))
        return record
