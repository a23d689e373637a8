"""Record the normal level that verify compares with."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Force = Annotated[bool, typer.Option("--force", help="Record although improvements are on.")]


@command("baseline record", examples=("atftctl baseline record",))
def record(session: Session, force: Force = False) -> "Result":
    """Measure and record the normal level that verify compares with.

    Run it while the service is healthy and all improvements are off. Refused while improvements are on, unless --force
    is given.
    """
    from atftctl.operations.verification import baseline

    return baseline.record_baseline(session.open(), session.request(), force=force)
