"""What happened lately in a project, and what is true now: what the messages are made of."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from atftctl.decide.alerting import events
from atftctl.decide.alerting.incidents import incidents
from atftctl.decide.alerting.message import Place
from atftctl.domain.alert import ReceivedAlert
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.incident_events import Event, Incident
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.operations.project import Project, open_operation
from atftctl.operations.report.status import status
from atftctl.protocol.messages import tr
from atftctl.state import alerts, history, verified
from atftctl.state.layout import Layout

LATELY_S = 3 * 86_400.0  # older events belong to no incident that is told
LINES = 6  # of what is wrong now


def incidents_of(project: Project, now: float) -> list[Incident]:
    """The incidents of the last days, oldest first. `now`: in Unix seconds."""
    layout = project.layout
    happened: list[Event | None] = [events.of_operation(entry) for entry in history.read(layout)]
    happened += [events.of_alert(alert) for alert in _alerts(layout)]
    happened += [events.of_verify(passed.at) for _, passed in verified.passes(layout)]
    opened = open_operation(layout)
    if opened and locks.holder(layout.lock) is None:
        happened.append(events.of_open(opened.id, opened.summary, now))
    return incidents(_lately(events.in_order(happened), now))


def _lately(happened: Iterable[Event], now: float) -> list[Event]:
    """Events of days to come, too, belong to none: the clock was wrong, or somebody else wrote them."""
    return [event for event in happened if abs(now - event.time) <= LATELY_S]


def _alerts(layout: Layout) -> list[ReceivedAlert]:
    try:
        return alerts.read(layout)
    except Refused:
        return []


def place_of(project: Project) -> Place:
    """Where it happened, and what is true now."""
    service, folder = project.runbook.service, str(project.layout.root)
    try:
        seen = status(project)
        now = (seen.headline, *seen.lines[:LINES])
    except (AtftError, HostError, OSError) as error:
        now = (tr("the state of the service can't be seen: {reason}", reason=str(error)),)
    return Place(service, socket.gethostname(), folder, now, project.contacts)


def signature(layout: Layout) -> tuple[object, ...]:
    """What is another one after an event: the files that hold the events, as the file system describes them."""
    return tuple(map(_facts, (layout.history, layout.verified, layout.alerts)))


def _facts(path: Path) -> object:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
