"""`recover`: finish or reverse the operations that a crash interrupted."""

from __future__ import annotations

from dataclasses import dataclass

from atftctl.domain.result import Data, Result
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr


@dataclass(frozen=True)
class RecoveredData(Data):
    """What recovery did. recovered: one line for each interrupted operation."""

    recovered: tuple[str, ...]


def recover(project: Project, request: Request, *, back: bool = False) -> Result:
    """Finish or reverse what a crash interrupted; exit code 1 where the trainer should run but can't be started.

    `back`: restore the earlier files also where the change was already decided.
    """
    with locked(project, "recover", request, back=back) as recovered:
        pass
    if project.layout.pending.exists():
        from atftctl.operations import overdue

        overdue.expire_overdue(project, request)
    failed = recovered.not_started
    return Result(
        "recover",
        Exit.CHECK_FAILED if failed else Exit.DONE,
        joined("; ", recovered.lines) or tr("nothing to recover: no operation was interrupted"),
        lines=(tr("next: atftctl trainer start"),) if failed else (),
        data=RecoveredData(tuple(recovered.lines)),
        contacts=project.contacts if failed else (),
    )
