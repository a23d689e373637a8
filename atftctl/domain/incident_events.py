"""An incident: what happened from its first sign until the service was verified or stopped. And how it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from atftctl.domain.record import record
from atftctl.domain.route import Severity, reaches
from atftctl.protocol.messages import from_record, record_of

Ending = Literal["", "verified", "stopped"]
EventKind = Literal["operation", "alert", "other"]


@record
class Event:
    """One thing that happened. `id`: of the operation or the alert. `time`: in Unix seconds. `text`: what happened, in
    one line. `begins`: an incident begins with it where none is open. `ends`: how it ends the incident, or "". `tells`:
    people are told about it; else it is only listed. `urgent`: a person must act now. `command`: what helps, or "".
    `kind`: what `id` is the id of."""

    id: str
    time: float
    text: str
    severity: Severity = "info"
    begins: bool = False
    ends: Ending = ""
    tells: bool = True
    urgent: bool = False
    command: str = ""
    kind: EventKind = "other"


@record
class Incident:
    """Events, oldest first, from the one that began it until the one that ended it, if that came yet."""

    events: tuple[Event, ...]

    @property
    def id(self) -> str:
        """The id of the operation or alert that began it."""
        return base(self.events[0].id)

    @property
    def ending(self) -> Ending:
        """How it ended; "" where it goes on."""
        return self.events[-1].ends

    @property
    def severity(self) -> Severity:
        """The highest severity of its events."""
        highest: Severity = "info"
        for event in self.events:
            highest = event.severity if reaches(event.severity, highest) else highest
        return highest

    @property
    def operations(self) -> tuple[str, ...]:
        """The ids of the operations that people are told about, and that have ended."""
        return tuple(event.id for event in self.told if event.kind == "operation")

    @property
    def alerts(self) -> tuple[str, ...]:
        """The ids of its alerts."""
        return tuple(event.id for event in self.events if event.kind == "alert")

    @property
    def told(self) -> tuple[Event, ...]:
        """The events that people are told about."""
        return tuple(event for event in self.events if event.tells)


@record
class RouteState:
    """What was told of one incident on one route. `sent`: how many messages, the first one included. `events`: the ids
    of the events that they told. `at`: when the last one was sent, in Unix seconds. `ended`: the end was told.
    `problem`: why the newest message could not be sent, or "". `tries`: how often that was tried. `failed_at`: when it
    was tried last (ISO 8601)."""

    sent: int = 0
    events: tuple[str, ...] = ()
    at: float = 0.0
    ended: bool = False
    problem: str = ""
    tries: int = 0
    failed_at: str = ""

    def to_json(self) -> dict[str, Any]:
        """As values that `json` writes; the problem stays translatable."""
        return {**vars(self), "problem": record_of(self.problem)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RouteState:
        """The state of JSON. Raises TypeError, KeyError or ValueError where it is none."""
        return cls(**{name: kind(value[name]) for name, kind in _KINDS.items() if name in value})


_KINDS: dict[str, Callable[[Any], Any]] = {
    "sent": int, "events": tuple, "at": float, "ended": bool, "problem": from_record, "tries": int, "failed_at": str,
}  # fmt: skip
OPEN = ":open"  # the end of an event's id: of an operation that stopped halfway, before its line in the history


def base(event: str) -> str:
    """The id of the operation or the alert of an event."""
    return event.removesuffix(OPEN)


@record
class Due:
    """A message that is to be sent. `at`: from when on, in Unix seconds. `kind`: of the message."""

    at: float
    kind: Literal["first", "update", "end"]
