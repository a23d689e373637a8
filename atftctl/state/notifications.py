"""What was told of incidents, on which route: `.atftctl/notifications.json`. It holds no address and no message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field

from atftctl.domain.incident_events import Incident, RouteState, base
from atftctl.domain.record import record
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

MOST = 50  # incidents; the oldest go first
LONGEST = 4 << 20  # bytes that are read


@record
class Told:
    """What was told of one incident, by route. `id`: of the incident, as it was told first."""

    id: str
    routes: Mapping[str, RouteState] = field(default_factory=dict)

    def knows(self, incident: Incident) -> bool:
        """Is this the incident? Its first event may have become known after others were told."""
        told = {base(event) for state in self.routes.values() for event in state.events} | {self.id}
        return any(base(event.id) in told for event in incident.events)


def read(layout: Layout) -> list[Told]:
    """What was told, oldest incident first. Empty where there is no file, or none that can be read: people are told
    twice rather than never."""
    try:
        body = sealed_records.unseal(read_bytes(layout.notifications, LONGEST), layout.notifications.name)
        return [
            Told(str(entry["id"]), {str(name): RouteState.from_json(state) for name, state in entry["routes"].items()})
            for entry in body["incidents"]
        ]
    except (OSError, HostError, KeyError, TypeError, ValueError, AttributeError):
        return []


def write(layout: Layout, told: list[Told]) -> None:
    """Write what was told of the newest incidents. Called by whoever holds `sending`. Raises OSError."""
    entries = [
        {"id": each.id, "routes": {name: state.to_json() for name, state in each.routes.items()}}
        for each in told[-MOST:]
    ]
    write_durably(layout.notifications, sealed_records.seal({"incidents": entries}), 0o600)


@contextmanager
def sending(layout: Layout, wait_s: float) -> Iterator[None]:
    """Be the one process that sends messages; at most one other waits for that, up to `wait_s` seconds: it will send
    what happened until then. Raises LockHeldError where there are two already; OSError."""
    make_dirs(layout.state, 0o700)
    place, turn = layout.state / "notify-next.lock", layout.state / "notify.lock"
    with locks.waiting(place, 0.0) as free_place, locks.waiting(turn, wait_s):
        free_place()
        yield
