"""The data of `alert`."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.domain.alert import AlertStatus, Origin, ReceivedAlert
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.domain.route import Severity


@record
class ConclusionData(Data):
    """What the diagnosis of an alert said.

    at: when (ISO 8601). verdict: `healthy`, `fault` or `inconclusive`. headline: the diagnosis in one line. command:
    the command that helps, or empty. evidence: what speaks for the cause. died: the trainer was dead.
    """

    at: str
    verdict: str
    headline: str
    command: str
    evidence: tuple[str, ...]
    died: bool


@record
class AlertData(Data):
    """One alert that came in.

    id: its name here. origin: `alertmanager`, or `atftctl` where this program itself asked for a person. at: when it
    came (ISO 8601). seen: how often it came. status: `firing` or `resolved`, as it was told. resolved: when its end was
    told, or empty. key: the `groupKey` of its group. title: the names of its alerts. more: how many further alerts were
    left out. labels: the labels of each alert. annotations: the annotations of each alert. diagnosis: what the
    diagnosis said, or null where none was made.
    """

    id: str
    origin: Origin
    at: str
    seen: int
    status: AlertStatus
    resolved: str
    key: str
    title: str
    more: int
    labels: tuple[Mapping[str, str], ...]
    annotations: tuple[Mapping[str, str], ...]
    diagnosis: ConclusionData | None


@record
class ReceivedData(Data):
    """Data of `alert receive`.

    alert: the record. new: whether it came for the first time.
    """

    alert: AlertData
    new: bool


@record
class RouteData(Data):
    """One route of the runbook.

    name: its name. variable: the environment variable that holds the address. set: whether it is set here. severity:
    the least severity that is told on it. incident: the newest incident that was told on it, or empty. sent: how many
    messages of that incident were sent. problem: why the newest message could not be sent, or empty. failed_at: when
    that was tried last (ISO 8601), or empty.
    """

    name: str
    variable: str
    set: bool
    severity: Severity
    incident: str
    sent: int
    problem: str
    failed_at: str


@record
class AlertListData(Data):
    """Data of `alert list`.

    alerts: the alerts that came in, newest first. routes: the routes on which people are told.
    """

    alerts: tuple[AlertData, ...]
    routes: tuple[RouteData, ...]


@record
class AlertShowData(Data):
    """Data of `alert show`.

    alert: the record.
    """

    alert: AlertData


@record
class AlertTestData(Data):
    """Data of `alert test`.

    sent: the routes on which the message was sent. failed: why not, by route.
    """

    sent: tuple[str, ...]
    failed: Mapping[str, str]


def described(alert: ReceivedAlert) -> AlertData:
    """The record of an alert as data."""
    sent, concluded = alert.notification, alert.conclusion
    return AlertData(
        id=alert.id,
        origin=alert.origin,
        at=alert.at,
        seen=alert.seen,
        status=sent.status,
        resolved=alert.resolved,
        key=sent.key,
        title=sent.title,
        more=sent.more,
        labels=tuple(each.labels for each in sent.alerts),
        annotations=tuple(each.annotations for each in sent.alerts),
        diagnosis=ConclusionData(**vars(concluded)) if concluded else None,
    )
