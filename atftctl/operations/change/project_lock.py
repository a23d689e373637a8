"""Take the project's lock, and recover from a crash before anything else is done under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atftctl.domain.errors import AtftError, Busy, InterventionNeeded
from atftctl.host import locks
from atftctl.host.errors import HostError, LockHeldError, reason_and_place
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.protocol.messages import joined, tr
from atftctl.state.layout import Layout

if TYPE_CHECKING:
    from atftctl.apply.recovery import Recovered


@contextmanager
def locked(project: Project, command: str, request: Request, *, back: bool = False) -> Iterator[Recovered]:
    """Hold the project's lock; yield what recovery did first.

    `back`: recovery also undoes what was decided. Raises Busy, with who holds the lock, where it is taken;
    InterventionNeeded where recovery failed. An error under the lock also says what recovery changed before it.
    """
    from atftctl.state import reserve

    layout = project.layout
    reserve.prepare(layout)
    try:
        with locks.exclusive(layout.lock, command=command, reason=request.reason):
            recovered = _recover(project, back=back)
            _drop_settled(layout)
            if recovered.lines and layout.reenable.exists():
                from atftctl.operations.change.phase_passes import void_lost

                void_lost(project)
            for line in recovered.lines:
                request.report.note(line)
            try:
                yield recovered
            except AtftError as error:
                if recovered.lines:
                    before = joined("; ", recovered.lines)
                    error.state = joined("; after that: ", filter(None, [before, error.state]))
                raise
            finally:
                _drop_settled(layout)
                reserve.refill(layout)
    except LockHeldError as error:
        raise Busy(
            held_by(error.holder),
            hint=tr(
                "wait until that operation has ended, or ask its operator; the lock is released when its process ends"
            ),
        ) from None


def recover_first(project: Project, command: str, request: Request) -> None:
    """Recover what a crash interrupted, before anything is read that it may have left half changed."""
    with locked(project, command, request):
        pass


def _recover(project: Project, *, back: bool) -> Recovered:
    """Run recovery; on a full disk, again without the reserve. Raises InterventionNeeded where it failed midway."""
    from atftctl.apply.recovery import Recovery
    from atftctl.state import reserve

    layout = project.layout
    try:
        try:
            return Recovery(layout, project.launch, back).run()
        except OSError as error:
            if error.errno not in reserve.FULL or not reserve.release(layout):
                raise
            return Recovery(layout, project.launch, back).run()
    except (OSError, HostError) as error:
        if not any(layout.journal.glob("*.json")):
            raise
        raise InterventionNeeded(
            tr("recovery failed: {reason}", reason=reason_and_place(error)),
            state=tr("an operation is open; some of its files may be in place"),
            hint=tr("remove the cause (a full disk?), then run: atftctl recover"),
        ) from None


def _drop_settled(layout: Layout) -> None:
    """Settle a change that waited for its confirmation, if it was put back or undone by now. Raises nothing."""
    if not layout.pending.exists():
        return
    from atftctl.operations.change.waiting import drop_settled

    drop_settled(layout)


def held_by(holder: Mapping[str, str]) -> str:
    """Say who holds the lock. `holder`: what they wrote about themselves; empty where they wrote nothing."""
    if not holder:
        return tr("another operation is running here")
    values = {name: holder.get(name, "?") for name in ("operator", "command", "pid", "since")}
    if holder.get("reason"):
        return tr(
            "{operator} is running `{command}` here (pid {pid}, since {since}, reason: {reason})",
            reason=holder["reason"],
            **values,
        )
    return tr("{operator} is running `{command}` here (pid {pid}, since {since})", **values)
