"""Which events belong to one incident, and when which message about it is due.

An incident begins with a rollback, an automatic act, a failed change, an operation that stopped halfway, or an alert
whose diagnosis found a fault. It ends when the checklist passes or the trainer is stopped on purpose; where nothing
happens for six hours, the next event begins another one.
"""

from __future__ import annotations

from collections.abc import Iterable

from atftctl.domain.incident_events import Due, Event, Incident, RouteState
from atftctl.domain.route import Route, reaches

QUIET_S = 6 * 3600.0  # without an event for so long, an incident is over
STALE_S = 3600.0  # an incident whose last event is older is not told for the first time
UPDATES = 4  # after the first message, on each route: ordinary ones, an urgent one, and the end
PAUSES_S = (60.0, 300.0)  # before the first ordinary update, and before the second
URGENT = 3  # updates that may have been sent after an urgent one: the last is kept for the end


def incidents(events: Iterable[Event]) -> list[Incident]:
    """The incidents of these events, which are in order; oldest first."""
    made: list[list[Event]] = []
    is_open = False
    for event in events:
        is_open = is_open and event.time - made[-1][-1].time <= QUIET_S
        if is_open:
            made[-1].append(event)
        elif event.begins:
            made.append([event])
            is_open = True
        if event.ends:
            is_open = False
    return [Incident(tuple(group)) for group in made]


def due(incident: Incident, route: Route, state: RouteState, now: float) -> Due | None:
    """The next message about an incident on a route; None where none is to come. The events that happen before it is
    sent are told together."""
    if not reaches(incident.severity, route.severity) or state.ended:
        return None
    if state.sent == 0:
        return Due(now, "first") if now - incident.events[-1].time <= STALE_S else None
    updates = state.sent - 1
    if incident.ending:
        return Due(now, "end") if updates < UPDATES else None
    news = [event for event in incident.told if event.id not in state.events]
    if not news:
        return None
    if any(event.urgent for event in news):
        return Due(now, "update") if updates < URGENT else None
    if updates < len(PAUSES_S):
        before = min(state.at, now)  # a clock that was set back must not delay a message
        return Due(max(now, before + PAUSES_S[updates]), "update")
    return None


def after(incident: Incident, state: RouteState, now: float) -> RouteState:
    """The state of a route after a message about the incident was sent on it."""
    told = tuple(dict.fromkeys((*state.events, *(event.id for event in incident.told))))
    return RouteState(state.sent + 1, told, now, ended=bool(incident.ending))
