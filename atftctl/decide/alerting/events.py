"""What happened, as events of an incident: operations of the history, alerts with their diagnosis, passing
checklists."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from atftctl.domain.alert import ReceivedAlert
from atftctl.domain.incident_events import OPEN, Event
from atftctl.domain.route import Severity
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr

BEGINS = "rollback"  # every rollback begins an incident
# Operations that people are told about while an incident lasts; others are only listed.
TELLS = ("rollback", "undo", "restore", "recover", "reenable")
FAILED = (Exit.CHECK_FAILED, Exit.RESTORED, Exit.STOPPED)


def of_operation(entry: Mapping[str, Any]) -> Event | None:
    """The event of one line of the history; None where it has no time."""
    time = seconds(str(entry.get("ended") or entry.get("started", "")))
    if time is None:
        return None
    command, code = str(entry["command"]), entry.get("exit_code", 0)
    expired = bool((entry.get("about") or {}).get("expired"))
    failed, verb = code in FAILED, (command.split() or [""])[0]
    return Event(
        id=str(entry["operation"]),
        time=time,
        text=_text(entry, with_title=verb in TELLS),
        severity=_severity(failed=failed, told=verb in TELLS),
        begins=failed or expired or verb == BEGINS,
        ends="stopped" if command == "trainer stop" and code == 0 else "",
        tells=failed or verb in TELLS,
        urgent=code == Exit.STOPPED,
        command=_way_on(entry, failed=failed),
        kind="operation",
    )


def _text(entry: Mapping[str, Any], *, with_title: bool) -> Message:
    """An operation in one line. Titles of other operations may hold the value of a setting, which may be a secret."""
    values = {name: str(entry.get(name, "?")) for name in ("command", "operation", "outcome")}
    if with_title:
        return tr("{command} {operation}: {title} ({outcome})", title=entry["title"], **values)
    return tr("{command} {operation} ({outcome})", **values)


def _severity(*, failed: bool, told: bool) -> Severity:
    if failed:
        return "critical"
    return "warning" if told else "info"


def _way_on(entry: Mapping[str, Any], *, failed: bool) -> str:
    """The command that comes after an operation."""
    changed = bool(entry.get("files") or entry.get("packages"))
    if failed and changed:
        return f"atftctl undo {shlex.quote(str(entry['operation']))}"  # it may be pasted, whoever wrote the history
    return "atftctl diagnose" if failed else "atftctl verify"


def of_alert(alert: ReceivedAlert) -> Event | None:
    """The event of an alert: where a diagnosis has found a fault, or a dead trainer, or atftctl itself asks for a
    person."""
    concluded = alert.conclusion
    time = seconds(concluded.at) if concluded else None
    if concluded is None or time is None or not concluded.is_fault:
        return None
    title, page = alert.notification.title, alert.origin == "atftctl"
    text = tr("alert {name}; diagnosis: {headline}", name=title, headline=concluded.headline)
    return Event(
        id=alert.id,
        time=time,
        text=concluded.headline if page else text,
        severity="critical" if page else "warning",
        begins=True,
        urgent=page,
        command=concluded.command,
        kind="alert",
    )


def of_verify(at: str) -> Event | None:
    """The event of a checklist that passed at this time (ISO 8601)."""
    time = seconds(at)
    return None if time is None else Event(f"verify-{at}", time, tr("verify passed"), ends="verified")


def of_open(operation: str, summary: str, now: float) -> Event:
    """The event of an operation that stopped halfway, and that nobody carries on."""
    return Event(
        id=f"{operation}{OPEN}",
        time=now,
        text=summary,
        severity="critical",
        begins=True,
        urgent=True,
        command="atftctl recover",
    )


def in_order(events: Iterable[Event | None]) -> list[Event]:
    """The events that there are, oldest first."""
    return sorted((event for event in events if event is not None), key=lambda event: event.time)


def seconds(written: str) -> float | None:
    """A time (ISO 8601) in Unix seconds; None where it is none."""
    try:
        return datetime.fromisoformat(written).timestamp()
    except (ValueError, OverflowError):
        return None
