"""`confirm`: keep a change that was made with `--confirm-within`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from atftctl.domain.errors import AtftError, Busy, Refused
from atftctl.domain.pending import PendingChange, clock_text
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.units import holds
from atftctl.host.errors import HostError, reason
from atftctl.host.files.fingerprint import digest_of
from atftctl.operations.change.project_lock import locked
from atftctl.operations.change.waiting import undo_of
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import history, pending
from atftctl.state.layout import Layout

PATIENCE_S = 5.0  # how long to wait for the lock
PAUSE_S = 0.1


@record
class ConfirmData(Data):
    """A change that was confirmed. operation: its id. command: the command that made it. title: what it did. asked_by:
    who made it. asked_at: when it was made (ISO 8601). left_s: seconds that were left."""

    operation: str
    command: str
    title: str
    asked_by: str
    asked_at: str
    left_s: float


def confirm(project: Project, operation: str, request: Request) -> Result:
    """Confirm the change that waits. `operation`: its id or how it begins; "" for whatever waits.

    Raises Refused where none waits, where another one does, and where its time is over: it says who was faster.
    """
    layout = project.layout
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _require(layout, operation)
        try:
            with locked(project, "confirm", request):
                change = _require(layout, operation)
                return _settle(layout, change, request)
        except Busy:
            change = _require(layout, operation)
            if time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE_S)


def _require(layout: Layout, operation: str) -> PendingChange:
    """Return the change that waits. Raises Refused where none does, where another one does, or where it is too late."""
    change = pending.read(layout)
    if change is None:
        raise _nothing_waits(layout, operation)
    if not change.operation.startswith(operation):
        raise Refused(
            tr("{operation} waits for no confirmation", operation=operation),
            hint=tr("the change that waits: atftctl confirm {operation}", operation=change.operation),
        )
    if change.problem:  # the undo was tried and failed: the operator may keep the change
        return change
    if change.expired_at:
        raise Refused(
            tr(
                "too late: the undo of {change} began at {time}", change=change.name, time=clock_text(change.expired_at)
            ),
            hint=tr("atftctl status shows how the undo ended"),
        )
    if change.left_s(pending.moment()) <= 0:
        raise Refused(
            tr("too late: {change} had to be confirmed by {time}", change=change.name, time=change.until),
            state=tr(
                "the change is still in place; its undo comes now, or with the next command that changes something"
            ),
            hint=tr("atftctl undo {operation}", operation=change.operation),
        )
    return change


def _settle(layout: Layout, change: PendingChange, request: Request) -> Result:
    """Decide that the change stays, and record it. Raises OSError where it can't be decided."""
    left_s = max(change.left_s(pending.moment()), 0.0)
    pending.settle(layout, change, "confirmed")
    headline = tr("confirmed: {change} stays", change=change.name)
    asked = tr("asked for by {operator} at {time}", operator=change.operator, time=clock_text(change.asked_at))
    lines = [asked, *_record(layout, change, request), tr("undo: atftctl undo {operation}", operation=change.operation)]
    data = ConfirmData(
        change.operation, change.command, change.title, change.operator, change.asked_at, round(left_s, 1)
    )
    return Result("confirm", Exit.DONE, headline, lines=tuple(lines), data=data)


def _record(layout: Layout, change: PendingChange, request: Request) -> tuple[str, ...]:
    """Append a line to the history; return a warning where it can't be written: the change is confirmed already."""
    stamp = now()
    entry = history.new_entry("confirm", change.name, request.reason, stamp)
    about = {"confirms": change.operation}
    ended = {"outcome": "done", "exit_code": 0, "ended": stamp.isoformat(timespec="seconds")}
    try:
        history.append(layout, {**entry, "about": about, **ended})
    except (OSError, HostError) as error:
        return (tr("this could not be recorded in the history: {reason}", reason=reason(error)),)
    return ()


def _nothing_waits(layout: Layout, operation: str) -> Refused:
    """Return the error that says how the wait of this operation ended, or of the last one that waited."""
    entries = history.read(layout)
    hint = tr("list the operations: atftctl history")
    for entry in reversed(entries):
        name = str(entry["operation"])
        outcome = pending.settled_as(layout, name) if name.startswith(operation) else None
        if outcome is None:
            continue
        change = tr("{command} {operation} ({title})", command=entry["command"], operation=name, title=entry["title"])
        if outcome == "confirmed":
            return Refused(_confirmed(entries, name, change), hint=hint)
        if outcome == "undone":
            return Refused(_undone(entries, name, change), hint=hint)
        return Refused(tr("{change} was put back: there is nothing to confirm", change=change), hint=hint)
    return Refused(tr("no change waits for a confirmation"), hint=hint)


def _confirmed(entries: list[dict[str, Any]], operation: str, change: str) -> str:
    for entry in reversed(entries):
        if (entry.get("about") or {}).get("confirms") == operation:
            return tr("{change} is confirmed already, {by}", change=change, by=_by(entry))
    return tr("{change} is confirmed already", change=change)


def _undone(entries: list[dict[str, Any]], operation: str, change: str) -> str:
    entry = undo_of(entries, operation)
    if entry is None:
        return tr("too late: {change} was undone", change=change)
    if expired := (entry.get("about") or {}).get("expired"):
        time_text = clock_text(str(entry["started"]))
        return tr("too late: {change} was undone at {time}: {reason}", change=change, time=time_text, reason=expired)
    return tr("{change} was undone, {by}", change=change, by=_by(entry))


def _by(entry: Mapping[str, Any]) -> str:
    return tr("by {operator} at {time}", operator=entry.get("operator", "?"), time=clock_text(str(entry["started"])))


def by_verify(project: Project, request: Request) -> tuple[str, ...]:
    """After a passing `verify`, under the lock: confirm the change that waits, where it was made with
    `--confirm-by-verify` and its files are still those of the change. Return what to say about it."""
    layout = project.layout
    try:
        change = pending.read(layout)
        if change is None:
            return ()
        if not change.by_verify:
            return (tr("next: atftctl confirm ({left})", left=change.summary(pending.moment())),)
        if not _is_as_changed(project, change):
            return (tr("not confirmed: files were changed after {change}", change=change.name),)
        result = _settle(layout, _require(layout, ""), request)
    except (AtftError, OSError) as error:
        return (tr("not confirmed: {reason}", reason=reason(error)),)
    return (result.headline,)


def _is_as_changed(project: Project, change: PendingChange) -> bool:
    """Are all files that it changed as it left them? A trainer writes models; `verify` has judged the present one."""
    models, checkpoints = project.runbook.files.models, project.runbook.checkpoints
    for entry in history.read(project.layout):
        if entry["operation"] == change.operation:
            return all(
                holds(models, str(file["path"]))
                or checkpoints.hold(str(file["path"]))
                or digest_of(project.layout.place(str(file["path"]))) == file["new"]
                for file in entry["files"]
            )
    return False
