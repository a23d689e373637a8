"""`atftctl history`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show the newest N operations.")]
Check = Annotated[
    bool, typer.Option("--check", help="Check instead that no line of the history was edited or removed.")
]


@command("history", examples=("atftctl history", "atftctl history --limit 5", "atftctl history --check"))
def history(session: Session, limit: Limit = 20, check: Check = False) -> "Result":
    """List past operations.

    Shows for each operation when it ran, how it ended, who ran it and why; the newest is first. `atftctl show` has the
    details of one operation.
    """
    from atftctl.cli.render import history as render
    from atftctl.operations.report import history as operation

    opened = session.open(rescue=True)
    if check:
        return operation.check_history(opened)
    session.render = render.operations
    return operation.history(opened, limit)
