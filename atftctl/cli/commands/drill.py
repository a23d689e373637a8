"""`atftctl drill`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Symptom = Annotated[
    str, typer.Option("--symptom", metavar="NAME", help="Symptom to rehearse (default: out of memory).")
]
Data = Annotated[
    str, typer.Option("--data", metavar="FILE", help="Parquet file with real prices (default: synthetic).")
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the scratch copy.")]


@command("drill", examples=("atftctl drill", "atftctl drill --symptom oom --data prices.parquet"))
def drill(session: Session, symptom: Symptom = "", data: Data = "", keep: Keep = False) -> "Result":
    """Rehearse an incident in a scratch copy of the project.

    Causes a real out-of-memory error under a real memory limit, rolls back, verifies the service, and turns the
    improvements of phase 1 on again. Takes about two minutes. The project itself is not changed.
    """
    from atftctl.operations.drill import rehearsal as operation

    return operation.run(session.open(), symptom, data, session.request().report, keep=keep)
