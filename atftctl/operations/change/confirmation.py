"""`--confirm-within`: start the process that undoes a change, and record that the change waits for its confirmation.

Both come before the change is decided, the timer first: whenever the operator's process is killed, either nothing was
changed, or a timer is ready. Whether the change is confirmed or undone is decided under the project's lock.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from atftctl.apply import confirm_timer as timer
from atftctl.domain.errors import AtftError
from atftctl.domain.pending import PendingChange
from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.operations.change.project_lock import locked
from atftctl.operations.change.waiting import from_now
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.protocol.messages import tr
from atftctl.state import pending
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.apply.operation import Operation


def arm(layout: Layout, operation: Operation) -> None:
    """Before the change: start the timer, and record that the change waits. Raises HostError, OSError."""
    step = operation.plan.confirmation
    if step is None:
        return
    home = timer.home_for(layout, operation.id)
    timer.start(layout, operation.id, home)  # it waits for the record
    now = pending.moment()
    change = PendingChange(
        operation=operation.id,
        command=operation.plan.command,
        title=operation.plan.title,
        operator=locks.operator(),
        reason=operation.inputs.reason,
        asked_at=now.wall.isoformat(timespec="seconds"),
        within_s=step.within_s,
        deadline=0.0,
        boot="",
        deadline_at="",
        by_verify=step.by_verify,
        restart=step.restart,
        live=step.live,
        tool=str(home),
    )
    pending.write(layout, from_now(change))


def start_again(project: Project, change: PendingChange, request: Request) -> None:
    """Start the timer of a change again; after a reboot, for instance. Where that fails, it is only noted: the next
    changing command tries it again, and carries the undo out when it is due."""
    layout = project.layout
    try:
        with locked(project, "confirm", request):
            current = pending.read(layout)
            if current is None or current.operation != change.operation:
                return
            home = timer.home_for(layout, change.operation)
            now, left = pending.moment(), max(current.left_s(pending.moment()), 0.0)
            pending.write(layout, replace(current, tool=str(home), deadline=now.boottime + left, boot=now.boot))
            timer.start(layout, change.operation, home)
    except (AtftError, HostError, OSError) as error:
        request.report.note(
            tr(
                "the timer of {operation} could not be started: {reason}",
                operation=change.operation,
                reason=reason(error),
            )
        )
