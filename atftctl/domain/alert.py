"""Alerts that another program has sent, and what a diagnosis found when they came. They are evidence: nothing is
changed because of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.printable import shortened
from atftctl.domain.record import record
from atftctl.protocol.messages import from_record, record_of

NAME = 80  # characters of an alert's name in a line
AlertStatus = Literal["firing", "resolved"]
# alertmanager: a notification came from there. atftctl: this program itself asks for a person.
Origin = Literal["alertmanager", "atftctl"]


@record
class Alert:
    """One alert of a notification. `fingerprint`: the sender's name for its set of labels. `starts`: as the sender
    wrote it. All texts are printable and of limited length."""

    status: AlertStatus
    fingerprint: str
    starts: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The alert's name, by its label."""
        return self.labels.get("alertname", "?")


@record
class Notification:
    """What the sender sent. `key`: the same for every notification of one group of alerts. `more`: how many alerts were
    left out, here or by the sender."""

    key: str
    status: AlertStatus
    alerts: tuple[Alert, ...]
    receiver: str = ""
    more: int = 0

    @property
    def identity(self) -> tuple[str, str, tuple[tuple[str, str, str], ...]]:
        """What a repeated notification has in common with the first: the group, its status, and which alerts since
        when."""
        alerts = sorted((alert.fingerprint, alert.status, alert.starts) for alert in self.alerts)
        return self.key, self.status, tuple(alerts)

    @property
    def title(self) -> str:
        """The names of its alerts: of a group that fires, without those that are over."""
        told = [alert for alert in self.alerts if alert.status == self.status] or self.alerts
        names = [*dict.fromkeys(shortened(alert.name, NAME) for alert in told)]
        return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


@record
class Conclusion:
    """What the diagnosis said. `at`: when (ISO 8601). `command`: the command that helps, or "". `died`: the trainer was
    dead, whether or not it could be told why."""

    verdict: str
    headline: str
    command: str = ""
    evidence: tuple[str, ...] = ()
    at: str = ""
    died: bool = False

    @property
    def is_fault(self) -> bool:
        """Must people be told?"""
        return self.verdict == "fault" or self.died

    def to_json(self) -> dict[str, Any]:
        """The conclusion as JSON: its texts in English, and, in `texts`, as they can be translated."""
        texts = {"headline": record_of(self.headline), "evidence": [record_of(line) for line in self.evidence]}
        return {**vars(self), "texts": texts}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Conclusion:
        """The conclusion of JSON. Raises KeyError, TypeError, AttributeError or ValueError where it is none."""
        plain = {name: text for name, text in value.items() if name != "texts"}
        texts = value.get("texts", plain)
        evidence = tuple(map(from_record, texts["evidence"]))
        return cls(**{**plain, "headline": from_record(texts["headline"]), "evidence": evidence})


@record
class ReceivedAlert:
    """A record of one notification. `at`: when it came (ISO 8601). `resolved`: when its end was told, or "". `seen`:
    how often it came. `conclusion`: None until the diagnosis has ended, and for an alert that was over when it came."""

    id: str
    origin: Origin
    at: str
    notification: Notification
    conclusion: Conclusion | None = None
    resolved: str = ""
    seen: int = 1

    @property
    def is_over(self) -> bool:
        """Was its end told?"""
        return bool(self.resolved) or self.notification.status == "resolved"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON."""
        sent = self.notification
        alerts = [vars(alert) for alert in sent.alerts]
        return {
            **vars(self),
            "notification": {**vars(sent), "alerts": alerts},
            "conclusion": self.conclusion.to_json() if self.conclusion else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ReceivedAlert:
        """The record of JSON. Raises KeyError, TypeError, AttributeError or ValueError where it is none."""
        sent, concluded = value["notification"], value["conclusion"]
        alerts = tuple(Alert(**alert) for alert in sent["alerts"])
        return cls(
            **{
                **value,
                "notification": Notification(**{**sent, "alerts": alerts}),
                "conclusion": Conclusion.from_json(concluded) if concluded else None,
            }
        )
