"""`atftctl status`."""

from typing import TYPE_CHECKING

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result


@command("status", examples=("atftctl status", "atftctl status --json"))
def status(session: Session) -> "Result":
    """Show the state of the service and what is wrong.

    Lists every problem with the command that helps, the improvements that are on and off, the trainer, the snapshots
    and the last operation. Works with a broken runbook. Changes nothing.
    """
    from atftctl.cli.render import status as render
    from atftctl.operations.report import status as operation

    session.render = render.status
    return operation.status(session.open(look=True))
