"""List, show and grade the trainer's checkpoints."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name or path of a checkpoint, its step or number in the list, or the beginning of a name."
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Names, paths or steps of checkpoints, or their numbers in the list (default: all that the present run "
        "came by).",
        show_default=False,
    ),
]
To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="GRADE",
        help="Highest grade to measure: whole (undamaged), loads (into the model), steps (training goes on from it), "
        "or quality (no worse than the baseline).",
    ),
]


@command("checkpoint list", examples=("atftctl checkpoint list",))
def list_(session: Session) -> "Result":
    """List the checkpoints, newest first.

    Shows the grade of each: what was measured of it. Reads each checkpoint to see whether it is whole.
    """
    from atftctl.cli.render import checkpoints as render
    from atftctl.operations.checkpoint import report

    session.render = render.checkpoints
    return report.list_all(session.open(rescue=True))


@command("checkpoint show", examples=("atftctl checkpoint show last", "atftctl checkpoint show 1500"))
def show(session: Session, name: Name) -> "Result":
    """Show one checkpoint, and all that was measured of it."""
    from atftctl.cli.render import checkpoints as render
    from atftctl.operations.checkpoint import report

    session.render = render.checkpoint
    return report.show(session.open(rescue=True), name)


@command("checkpoint grade", examples=("atftctl checkpoint grade", "atftctl checkpoint grade 1500 --to quality"))
def grade(session: Session, names: Names = None, to: To = "steps") -> "Result":
    """Measure checkpoints, and keep their grades.

    Trains some steps from each in a scratch folder; changes nothing in the project but the record of grades. Exit
    code 1 if one does not reach the grade.
    """
    from atftctl.operations.checkpoint import grade as operation

    return operation.grade(session.open(), names or (), to, session.request())
