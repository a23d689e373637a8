"""`recover`: finish or unwind what a crash left open."""

from __future__ import annotations

from atftctl.domain.result import Result
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.protocol import Exit


def recover(project: Project, request: Request, *, back: bool = False) -> Result:
    """Finish or unwind what a crash left open. `back`: put back what was decided, too. Exit 1 where the trainer should
    run and could not be started."""
    with locked(project, "recover", request, back=back) as done:
        pass
    return Result(
        "recover",
        Exit.CHECK_FAILED if done.not_started else Exit.DONE,
        "; ".join(done.lines) or "nothing was left open",
        lines=("next: atftctl trainer start",) if done.not_started else (),
        data={"recovered": done.lines},
        contacts=project.contacts if done.not_started else (),
    )
