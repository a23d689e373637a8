"""What is known of the change that waits for its confirmation: whether other changes must wait for it, and whether it
has come to nothing by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from atftctl.domain.confirm_steps import AwaitConfirmation
from atftctl.domain.errors import AtftError, Refused
from atftctl.domain.pending import PendingChange
from atftctl.domain.plan import Plan, with_notes
from atftctl.domain.result import Result
from atftctl.host.errors import HostError
from atftctl.operations.request import Request
from atftctl.protocol.messages import tr
from atftctl.state import history, pending, sealed_records
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.apply.operation import Operation


def with_step(plan: Plan, request: Request) -> Plan:
    """Return the plan with the step that undoes it unless it is confirmed, where that was asked for."""
    if request.confirm_within is None:
        return plan
    if not (plan.targets or plan.packages):
        note = tr("no file changes, so nothing waits for a confirmation (--confirm-within)")
        return with_notes(plan, (note,))
    within = request.confirm_within
    policy = within.policy
    step = AwaitConfirmation(within.seconds, within.by_verify, policy.restart, policy.live)
    return replace(plan, steps=(*plan.steps, step), facts={**plan.facts, "confirm_within_s": within.seconds})


def from_now(change: PendingChange) -> PendingChange:
    """Return the change with the whole of its time from now on."""
    now = pending.moment()
    end = (now.wall + timedelta(seconds=change.within_s)).isoformat(timespec="seconds")
    return replace(change, deadline=now.boottime + change.within_s, boot=now.boot, deadline_at=end)


def begin(result: Result, operation: Operation) -> Result:
    """After the change: its time begins now. Until then it counted from before the change, and a killed operator leaves
    it so. Return the result, which says until when the change waits."""
    change = pending.read(operation.layout) if operation.plan.confirmation else None
    if change is None or change.operation != operation.id:
        return result
    with suppress(OSError, HostError):  # on a full disk the time is shorter, and the timer knows
        later = from_now(change)
        pending.write(operation.layout, later)
        change = later
    line = tr("this is undone at {time} unless it is confirmed: atftctl confirm", time=change.until)
    data = replace(result.change, confirm_until=change.deadline_at)
    return replace(result, lines=(*result.lines, line), data=data)


def with_warning(plan: Plan, layout: Layout, undoes: str) -> Plan:
    """Return the plan of a dry run, with a note where it would be refused, or an overdue undo would come before it."""
    try:
        change = pending.read(layout)
    except AtftError as error:
        return with_notes(plan, (tr("this would be refused now: {reason}", reason=error.message),))
    if change is None or change.operation == undoes:
        return plan
    if is_due(change):
        text = tr("before that, {change} is undone: {reason}", change=change.name, reason=change.why_undone)
        return with_notes(plan, (text,))
    reason = change.summary(pending.moment())
    return with_notes(plan, (tr("this would be refused now: {reason}", reason=reason),))


def is_due(change: PendingChange) -> bool:
    """Is the time over, or has the undo begun?"""
    return bool(change.expired_at) or change.left_s(pending.moment()) <= 0


def refuse_other(layout: Layout, undoes: str) -> None:
    """Raises Refused while another change waits than the one that is to be undone. `undoes`: its operation, or ""."""
    change = pending.read(layout)
    if change is not None and change.operation != undoes:
        raise Refused(
            change.summary(pending.moment()),
            hint=tr(
                "to keep that change: atftctl confirm; to undo it: atftctl undo {operation}", operation=change.operation
            ),
        )


def drop_settled(layout: Layout) -> None:
    """Settle the change where it was put back or undone by now; called under the lock, after recovery. Raises nothing:
    the next command under the lock tries it again.

    So a crash between the end of an operation and the end of the wait loses nothing.
    """
    try:
        change = pending.read(layout)
    except Refused:
        return  # `status` and every change say so
    if change is None or "done" not in sealed_records.states(layout.journal).get(change.operation, {"done"}):
        return
    entries = history.read(layout)
    undone = any(_undoes(entry, change.operation) for entry in entries)
    if undone or not any(entry["operation"] == change.operation and _changed(entry) for entry in entries):
        with suppress(OSError, HostError):
            pending.settle(layout, change, "undone" if undone else "not-made")


def _undoes(entry: Mapping[str, Any], operation: str) -> bool:
    about = entry.get("about") or {}
    return about.get("undo_of") == operation and _changed(entry)


def _changed(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("files") or entry.get("packages")) and not str(entry.get("outcome", "")).startswith(
        "put back"
    )


def undo_of(entries: Sequence[Mapping[str, Any]], operation: str) -> Mapping[str, Any] | None:
    """Return the entry of the undo of an operation; None where it was not undone."""
    return next((entry for entry in reversed(entries) if _undoes(entry, operation)), None)
