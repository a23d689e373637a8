"""`atftctl resume`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Operation = Annotated[
    str,
    typer.Argument(
        metavar="[OPERATION]", help="Operation to resume (default: the one that was interrupted).", show_default=False
    ),
]
Drop = Annotated[bool, typer.Option("--drop", help="Abandon the operation instead; all files stay as they are.")]


@command("resume", "dry_run", "reason", "adopt", examples=("atftctl resume", "atftctl resume --drop"))
def resume(session: Session, operation: Operation = "", drop: Drop = False) -> "Result":
    """Continue an interrupted operation or a staged rollback.

    An operation that a crash interrupted is finished or reversed, as with `atftctl recover`. A staged rollback
    continues with its next stage. An open phase of `reenable` is watched and judged, without another restart;
    a halt of the phases is lifted.
    """
    from atftctl.operations import resume as operations

    return operations.resume(session.open(), operation, session.restart_policy(), session.request(), drop=drop)
