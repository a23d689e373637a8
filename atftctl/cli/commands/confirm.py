"""`atftctl confirm`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Pending = Annotated[
    str,
    typer.Argument(
        metavar="[PENDING]",
        help="Id of the operation that waits, or the beginning of it (default: whichever waits).",
        show_default=False,
    ),
]


@command("confirm", "reason", examples=("atftctl confirm", "atftctl confirm --reason 'loss is normal'"))
def confirm(session: Session, operation: Pending = "") -> "Result":
    """Keep a change that was made with --confirm-within.

    Without it, the change is undone when its time is over. `atftctl undo` undoes the change at once. `atftctl status`
    shows what waits, and how much time is left.
    """
    from atftctl.operations import confirm as operations

    return operations.confirm(session.open(rescue=True), operation, session.request())
