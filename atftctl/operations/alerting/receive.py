"""`alert receive`: record a notification of Alertmanager, and diagnose. An alert is evidence: nothing is changed
because of it."""

from __future__ import annotations

import json
import os
import select
import time
from dataclasses import replace

from atftctl.decide.alerting import webhook
from atftctl.domain.alert import Conclusion, Notification, ReceivedAlert
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.result import Reporter, Result
from atftctl.domain.text import size_text
from atftctl.host.errors import HostError, reason
from atftctl.operations.alerting.alert_data import ReceivedData, described
from atftctl.operations.monitoring.diagnose import diagnose
from atftctl.operations.monitoring.diagnosis_data import DiagnoseData
from atftctl.operations.project import Project, now
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import alerts

LONGEST = 1 << 20  # bytes of a notification
LIMIT_S = 60.0  # seconds in which it must have come
EVIDENCE = 12  # lines of the diagnosis that are kept


def receive(project: Project, source: int, report: Reporter) -> Result:
    """Record the notification that the descriptor `source` gives. The diagnosis of a new alert is made and kept; what
    came before is only counted. Raises Refused, HostError, OSError."""
    sent = _parsed(_read(source))
    alert, is_new = alerts.record(project.layout, sent, "alertmanager", now())
    if not alert.is_over and alert.conclusion is None:  # also one that came before, and was killed while it diagnosed
        alert = alerts.conclude(project.layout, alert.id, _concluded(project, report)) or alert
    data = ReceivedData(described(alert), new=is_new)
    return Result("alert receive", Exit.DONE, _headline(alert, is_new=is_new), lines=_lines(alert), data=data)


def _read(source: int) -> bytes:
    """Everything that comes, up to the limits. Raises Refused."""
    data, deadline = bytearray(), time.monotonic() + LIMIT_S
    while True:
        ready, _, _ = select.select([source], [], [], max(deadline - time.monotonic(), 0.0))
        if not ready:
            raise _refused(tr("it did not come to an end within {limit_s:g} s", limit_s=LIMIT_S))
        part = os.read(source, 1 << 16)
        data += part
        if not part:
            return bytes(data)
        if len(data) > LONGEST:
            raise _refused(tr("it is longer than {limit}", limit=size_text(LONGEST)))


def _parsed(data: bytes) -> Notification:
    if not data.strip():
        raise _refused(tr("standard input is empty"))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused(tr("it is not JSON: {reason}", reason=type(error).__name__)) from None
    return webhook.read(value)


def _refused(why: Message) -> Refused:
    return Refused(
        tr("the notification was refused: {reason}", reason=why),
        state=tr("the notification was not recorded"),
        hint=tr("example: {command}", command="atftctl alert receive < notification.json"),
    )


def _concluded(project: Project, report: Reporter) -> Conclusion:
    """What the diagnosis says now, in English, as all records. One that fails says nothing, and is recorded as such."""
    at = now().isoformat(timespec="milliseconds")
    try:
        result = diagnose(replace(project, language="en"), "", report)
    except (AtftError, HostError, OSError) as error:
        return Conclusion("inconclusive", tr("the diagnosis failed: {reason}", reason=reason(error)), at=at)
    data = result.data
    assert isinstance(data, DiagnoseData)
    signs = [joined(": ", (sign.source, sign.text)) for sign in (data.cause.evidence if data.cause else data.notes)]
    died = data.state == "died"
    command = data.cause.command if data.cause else "atftctl diagnose" if died else ""
    return Conclusion(data.verdict, result.headline, command, tuple(signs[:EVIDENCE]), at, died)


def _headline(alert: ReceivedAlert, *, is_new: bool) -> Message:
    values = {"id": alert.id, "title": alert.notification.title}
    if not is_new:
        return tr("{id} is already known: {title} (came {count} times)", count=alert.seen, **values)
    if alert.is_over:
        return tr("{id} recorded: {title} is over", **values)
    return tr("{id} recorded: {title}", **values)


def _lines(alert: ReceivedAlert) -> tuple[str, ...]:
    concluded = alert.conclusion
    if concluded is None:
        return (tr("no diagnosis was made: the alert is over"),)
    lines = [tr("diagnosis: {headline}", headline=concluded.headline), *concluded.evidence]
    if concluded.command:
        lines.append(tr("next: {hint}", hint=concluded.command))
    return (*lines, tr("nothing was changed: an alert is evidence, never a reason to act by itself"))
