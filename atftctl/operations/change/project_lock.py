"""The project's lock, taken after recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from atftctl.domain.errors import AtftError, InterventionNeeded, Refused
from atftctl.host import locks
from atftctl.host.errors import HostError, LockHeldError, reason_and_place
from atftctl.operations.project import Project
from atftctl.operations.request import Request

if TYPE_CHECKING:
    from atftctl.apply.recovery import Recovered


@contextmanager
def locked(project: Project, command: str, request: Request, *, back: bool = False) -> Iterator[Recovered]:
    """The project's lock, after recovery; yields what recovery did, and tells it. A second operator is told who
    holds it. An error under the lock says what recovery changed before it. `back`: recovery takes back what was
    decided."""
    from atftctl.state import reserve

    layout = project.layout
    reserve.prepare(layout)
    try:
        with locks.exclusive(layout.lock, command=command, reason=request.reason):
            done = _recovered(project, back=back)
            for line in done.lines:
                request.report.note(line)
            try:
                yield done
            except AtftError as error:
                if done.lines:
                    before = "; ".join(done.lines)
                    error.state = "; after that: ".join(filter(None, [before, error.state]))
                raise
            finally:
                reserve.refill(layout)
    except LockHeldError as error:
        raise Refused(held_by(error.holder), hint="wait for it, or ask them; the lock goes with its process") from None


def _recovered(project: Project, *, back: bool) -> Recovered:
    """Run recovery; on a full disk with the reserve released. Raises InterventionNeeded where it was stopped midway."""
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
            f"recovery was stopped: {reason_and_place(error)}",
            state="an operation stays open; its files may be partly in place",
            hint="remove the cause (a full disk?), then: atftctl recover",
        ) from None


def held_by(holder: Mapping[str, str]) -> str:
    if not holder:
        return "another operation is running here"
    why = f", reason: {holder['reason']}" if holder.get("reason") else ""
    return (
        f"{holder.get('operator', '?')} is running `{holder.get('command', '?')}` here "
        f"(pid {holder.get('pid', '?')}, since {holder.get('since', '?')}{why})"
    )
