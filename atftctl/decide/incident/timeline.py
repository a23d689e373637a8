"""The timeline of an incident: the signs of the fault, the decision, the change, the proof, what followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from atftctl import protocol
from atftctl.domain.alert import ReceivedAlert
from atftctl.domain.checks import title_of
from atftctl.domain.incident import Failed, Kind, Moment, Recorded, seconds_of
from atftctl.domain.snapshot import Passed
from atftctl.domain.verdict import Verdict
from atftctl.protocol.messages import joined, tr

MOST = 12  # events of one side that are shown
WHOLE_S = 1.0  # the times of the history have no fractions
LONGEST = 300  # characters of a message of an event
ENDS_WELL = (int(protocol.TrainerExit.FINISHED), int(protocol.TrainerExit.STOPPED))
FAULTS = (
    protocol.OOM, protocol.ANOMALY, protocol.SAVE_FAILED, protocol.HANG, protocol.WORKER_LOST, protocol.FENCED,
    protocol.RELOAD_REFUSED, protocol.RECOVERED,
)  # fmt: skip
BEFORE = ("decide", "rehearsal")  # parts of an operation that come before it is begun
PARTS: dict[str, tuple[Kind, str]] = {
    "decide": ("decision", tr("the state was observed and the plan made")),
    "rehearsal": ("decision", tr("the plan was rehearsed in a scratch copy")),
    "evidence": ("change", tr("the evidence was saved")),
    "timer": ("change", tr("the timer of the confirmation was started")),
    "stop": ("change", tr("the trainer was asked to stop")),
    "snapshot": ("change", tr("a snapshot of the files was taken")),
    "files": ("change", tr("the files were changed")),
    "packages": ("change", tr("packages were changed")),
    "start": ("change", tr("the trainer was started")),
    "reload": ("change", tr("the trainer was asked to load the new settings")),
}


def timeline(
    operation: Recorded,
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    passed: Iterable[Passed],
    failed: Iterable[Failed],
    others: Iterable[Recorded],
    alerts: Iterable[ReceivedAlert] = (),
) -> tuple[Moment, ...]:
    """All that is known of the times, in their order.

    before, after: events of the trainers before and after the change. passed, failed: later checklists of these files.
    others: later operations that undo or confirm this one. alerts: those that came around this one.
    """
    signs = list(_signs(before))
    moments = [*signs, *_after(operation, after), *_own(operation, signs), *_later(passed, failed, others)]
    moments += _alerts(operation, alerts)
    return tuple(sorted(moments, key=lambda moment: moment.at))


def is_fault(event: Mapping[str, Any]) -> bool:
    """Does this event of a trainer speak of a fault?"""
    if event["event"] == protocol.STOPPED:
        return event.get("exit_code") not in ENDS_WELL
    return event["event"] in FAULTS


def described(event: Mapping[str, Any]) -> str:
    """An event of a trainer in words."""
    name, step = str(event["event"]), event.get("step")
    if name == protocol.STARTED:
        return tr("the trainer began at step {step}", step=step)
    if name == protocol.FIRST_STEP:
        digest = str(event.get("digest"))[:12]
        return tr("the trainer made step {step} with config {digest}", step=step, digest=digest)
    details = [
        str(event[key]) for key in ("message", "reason", "quantity", "value") if event.get(key) not in (None, "")
    ]
    code = event.get("exit_code")
    details += [tr("exit code {code}", code=code)] if type(code) is int else []
    text = tr("the trainer reported {event} at step {step}", event=name, step=step)
    if not details:
        return text
    return tr("{text}: {details}", text=text, details=", ".join(details)[:LONGEST])


def _signs(events: Sequence[Mapping[str, Any]]) -> Iterator[Moment]:
    """The start of the run before the change, and its faults."""
    shown = [event for event in events if is_fault(event)][-MOST:]
    began = [event for event in events if event["event"] == protocol.STARTED][-1:]
    for event in (*began, *shown):
        if (at := seconds_of(event["t"])) is not None:
            yield Moment(at, "sign", described(event))


def _own(operation: Recorded, signs: Sequence[Moment]) -> Iterator[Moment]:
    """The parts of the operation, each at its begin: as far as the record has their durations. The record has whole
    seconds; a decision is not shown before a sign that it must have known."""
    at = operation.started
    if at is None:
        return
    decided = sum(operation.parts.get(name, 0.0) for name in BEFORE)
    before = max([at - decided, *(sign.at for sign in signs if sign.at < at + WHOLE_S)])
    yield Moment(before, "decision", _ran(operation), about=bool(decided))
    at = max(at, before)
    for name, seconds in operation.parts.items():
        kind, text = PARTS.get(name, ("change", name))
        timed = tr("{text} ({seconds:.2f} s)", text=text, seconds=seconds)
        if name in BEFORE:
            yield Moment(before, kind, timed, about=True)
            before += seconds
            continue
        if name in PARTS:
            yield Moment(at, kind, timed, about=True)
        at += seconds
    if operation.ended is not None:  # a time of whole seconds
        end = tr("the operation ended: {outcome}", outcome=operation.outcome)
        yield Moment(max(operation.ended, at, operation.first_step_at or 0.0), "change", end)


def _after(operation: Recorded, events: Sequence[Mapping[str, Any]]) -> Iterator[Moment]:
    """The first step after the change, and faults after it."""
    first = operation.first_step_at
    if first is not None and operation.first_step.get("event"):
        yield Moment(first, "proof", described(operation.first_step))
    for event in [event for event in events if is_fault(event)][:MOST]:
        at = seconds_of(event["t"])
        if at is not None and at != first:
            yield Moment(at, "later", described(event))


def _later(passed: Iterable[Passed], failed: Iterable[Failed], others: Iterable[Recorded]) -> Iterator[Moment]:
    """What followed: checklists of the files, and operations that undo or confirm this one."""
    for failure in failed:
        if (at := _at(failure.at)) is not None:
            names = [title_of(name) for name, (verdict, _) in failure.checks.items() if verdict == Verdict.FAIL.value]
            yield Moment(at, "later", tr("verify failed: {checks}", checks=joined(", ", names)))
    for checklist in passed:
        if (at := _at(checklist.at)) is not None:
            yield Moment(at, "proof", tr("verify passed: the files are verified-good"))
    for other in others:
        if other.started is not None:
            yield Moment(other.started, "later", _ran(other))


def _alerts(operation: Recorded, alerts: Iterable[ReceivedAlert]) -> Iterator[Moment]:
    """What was sent to atftctl, and what the diagnosis said then."""
    for alert in [alert for alert in alerts if alert.conclusion][-MOST:]:
        at, concluded = _at(alert.at), alert.conclusion
        if at is not None and concluded is not None:
            own = alert.origin == "atftctl"
            text = tr("alert {name}; diagnosis: {headline}", name=alert.notification.title, headline=concluded.headline)
            kind: Kind = "sign" if operation.started is None or at <= operation.started else "later"
            yield Moment(at, kind, concluded.headline if own else text)


def _ran(operation: Recorded) -> str:
    who = operation.operator or "?"
    return tr("{operator} ran {command}: {title}", operator=who, command=operation.command, title=operation.title)


def _at(written: str) -> float | None:
    try:
        return datetime.fromisoformat(written).timestamp()
    except (ValueError, OverflowError):
        return None
