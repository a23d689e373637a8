"""`atftctl diagnose`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

SinceOption = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="TIME",
        help="From when on: 2h, 30min, 10:31, 2026-11-30 10:31, start (of the trainer) or all (rotated logs, too).",
    ),
]


@command("diagnose", examples=("atftctl diagnose", "atftctl diagnose --since 2h", "atftctl diagnose --json"))
def diagnose(session: Session, since: SinceOption = "") -> "Result":
    """Find the cause of a fault, and the command that helps.

    Looks at events, metrics, logs, the kernel's log and checkpoints since the trainer was started; shows what speaks
    for a symptom, what against it, and how sure it is. The exit code is 0 if the trainer is healthy, 1 if it is not,
    and 6 if that can't be told. Changes nothing.
    """
    from atftctl.cli.render import diagnosis as render
    from atftctl.operations.monitoring import diagnose as operation

    session.render = render.diagnosis
    return operation.diagnose(session.open(look=True), since, session.reporter)
