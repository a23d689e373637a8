"""`atftctl recover`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Back = Annotated[
    bool,
    typer.Option(
        "--back", help="Restore all files as they were before the operation, even if its change was already decided."
    ),
]


@command("recover", examples=("atftctl recover", "atftctl recover --back"))
def recover(session: Session, back: Back = False) -> "Result":
    """Finish or reverse an operation that a crash interrupted.

    A change that was already decided is finished; any other change is reversed. Every command that changes something
    does this first.
    """
    from atftctl.operations import recover as operation

    return operation.recover(session.open(rescue=True), session.request(), back=back)
