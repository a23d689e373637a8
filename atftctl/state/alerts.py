"""The alerts that came in, newest last: `.atftctl/alerts.json`. It has a lock of its own: an alert is recorded while an
operation holds that of the project."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from atftctl.domain.alert import Conclusion, Notification, Origin, ReceivedAlert
from atftctl.domain.errors import Refused
from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

MOST = 200  # records; the oldest go first
ROOM = 4 << 20  # bytes of all records; the oldest go first
LONGEST = 16 << 20  # bytes that are read
WAIT_S = 20.0  # seconds that a record is waited for which another process writes


def read(layout: Layout) -> list[ReceivedAlert]:
    """The recorded alerts, oldest first. Raises Refused where the record is damaged."""
    try:
        body = sealed_records.unseal(read_bytes(layout.alerts, LONGEST), layout.alerts.name)
        return [ReceivedAlert.from_json(entry) for entry in body["alerts"]]
    except FileNotFoundError:
        return []
    except (OSError, HostError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(
            tr("the record of the alerts can't be read: {reason}", reason=reason(error)),
            hint=tr("keep it for later: mv {path} {path}.damaged", path=layout.alerts),
        ) from None


def record(
    layout: Layout, notification: Notification, origin: Origin, now: datetime, conclusion: Conclusion | None = None
) -> tuple[ReceivedAlert, bool]:
    """Record a notification, and that it ends the alerts of its group where it says so. Returns its record, and whether
    it is new: a repeated one is only counted. Raises Refused, OSError, HostError."""
    with _locked(layout):
        known = read(layout)
        before = next((alert for alert in reversed(known) if _repeats(alert, notification)), None)
        if before is not None:
            again = replace(before, seen=before.seen + 1)
            _write(layout, [again if alert is before else alert for alert in known])
            return again, False
        at = now.isoformat(timespec="milliseconds")
        is_end = notification.status == "resolved"
        late = not is_end and any(_is_over(notification, alert) for alert in known)
        new = ReceivedAlert(_new_id(now), origin, at, notification, conclusion, at if late else "")
        kept = [replace(alert, resolved=at) if _is_ended_by(alert, notification) else alert for alert in known]
        _write(layout, [*kept, new])
        return new, True


def conclude(layout: Layout, id_: str, conclusion: Conclusion) -> ReceivedAlert | None:
    """Record what the diagnosis of an alert said; None where the alert is no longer recorded. Raises as `record`."""
    with _locked(layout):
        known = [
            replace(alert, conclusion=conclusion) if alert.id == id_ else alert for alert in read(layout)
        ]  # fmt: skip
        _write(layout, known)
        return next((alert for alert in known if alert.id == id_), None)


def _repeats(alert: ReceivedAlert, notification: Notification) -> bool:
    return alert.origin == "alertmanager" and alert.notification.identity == notification.identity


def _is_ended_by(alert: ReceivedAlert, notification: Notification) -> bool:
    """Does a notification say that this alert is over? A group may go on firing, with other alerts than these."""
    sent = alert.notification
    if alert.resolved or sent.status != "firing" or sent.key != notification.key:
        return False
    firing = {(each.fingerprint, each.starts) for each in sent.alerts if each.status == "firing"}
    return notification.status == "resolved" or firing <= _over(notification)


def _over(notification: Notification) -> set[tuple[str, str]]:
    return {(each.fingerprint, each.starts) for each in notification.alerts if each.status == "resolved"}


def _is_over(notification: Notification, alert: ReceivedAlert) -> bool:
    """Was the end of this notification's alerts told before it came?"""
    sent = alert.notification
    came = {(each.fingerprint, each.starts) for each in notification.alerts}
    return sent.key == notification.key and came <= _over(sent)


def _new_id(now: datetime) -> str:
    return f"alert-{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(2)}"


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    make_dirs(layout.state, 0o700)
    with locks.waiting(layout.alerts.with_suffix(".lock"), WAIT_S):
        yield


def _write(layout: Layout, alerts: list[ReceivedAlert]) -> None:
    """Write the newest records that there is room for. Raises OSError."""
    entries = [alert.to_json() for alert in alerts[-MOST:]]
    sizes = [len(sealed_records.plain(entry)) for entry in entries]
    while len(entries) > 1 and sum(sizes) > ROOM:
        entries.pop(0)
        sizes.pop(0)
    write_durably(layout.alerts, sealed_records.seal({"alerts": entries}), 0o600)
