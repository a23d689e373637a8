"""Read a notification of Prometheus Alertmanager (webhook, version 4). Whoever can reach the receiver can write one:
each text is made printable and short, and only so many of them are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl.domain.alert import Alert, AlertStatus, Notification
from atftctl.domain.errors import Refused
from atftctl.domain.printable import shortened
from atftctl.protocol.messages import tr

VERSION = "4"
ALERTS, LABELS = 50, 40  # that are kept of a notification, and of an alert
MOST = 1_000_000  # alerts that the sender may have left out; Python shows no number of thousands of digits
KEY, NAME, TEXT = 500, 100, 300  # characters of a groupKey, a label's name, a value


def read(value: Any) -> Notification:
    """The notification of parsed JSON. Raises Refused for anything else."""
    if not isinstance(value, dict):
        raise _not(tr("it is not a JSON object"))
    if (version := value.get("version")) != VERSION:
        text = shortened(str(version), 20)
        raise _not(tr("its version is {version}; this atftctl reads version {known}", version=text, known=VERSION))
    key, alerts = value.get("groupKey"), value.get("alerts")
    if not isinstance(key, str) or not key:
        raise _not(tr("{key} is missing", key="groupKey"))
    if not isinstance(alerts, list) or not alerts:
        raise _not(tr("it holds no alerts"))
    left_out = value.get("truncatedAlerts", 0)
    return Notification(
        key=shortened(key, KEY),
        status=_status(value),
        alerts=tuple(map(_alert, alerts[:ALERTS])),
        receiver=shortened(str(value.get("receiver", "")), NAME),
        more=len(alerts[ALERTS:]) + (min(left_out, MOST) if type(left_out) is int and left_out > 0 else 0),
    )


def _alert(value: Any) -> Alert:
    if not isinstance(value, dict):
        raise _not(tr("one of its alerts is not a JSON object"))
    starts, fingerprint = value.get("startsAt"), value.get("fingerprint")
    if not isinstance(starts, str) or not isinstance(fingerprint, str):
        raise _not(tr("one of its alerts has no startsAt or no fingerprint"))
    return Alert(
        status=_status(value),
        fingerprint=shortened(fingerprint, NAME),
        starts=shortened(starts, NAME),
        labels=_texts(value.get("labels")),
        annotations=_texts(value.get("annotations")),
    )


def _status(value: Mapping[str, Any]) -> AlertStatus:
    if value.get("status") == "firing":
        return "firing"
    if value.get("status") == "resolved":
        return "resolved"
    raise _not(tr("its status is neither firing nor resolved"))


def _texts(value: Any) -> dict[str, str]:
    """Labels or annotations. Names that sort first are kept, and the alert's name in any case."""
    if not isinstance(value, dict):
        return {}
    names = sorted(value, key=lambda name: (name != "alertname", name))[:LABELS]
    return {shortened(name, NAME): shortened(str(value[name]), TEXT) for name in names}


def _not(reason: str) -> Refused:
    return Refused(
        tr("this is not a notification of Alertmanager: {reason}", reason=reason),
        state=tr("the notification was not recorded"),
        hint=tr("send what Alertmanager sends to a webhook_config; see docs/how-to/alerts.md"),
    )
