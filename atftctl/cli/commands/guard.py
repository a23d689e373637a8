"""`atftctl guard -- COMMAND`."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from atftctl.cli.command import command
from atftctl.cli.render.console import say
from atftctl.cli.session import Session
from atftctl.host.errors import reason
from atftctl.protocol.messages import tr

REFUSED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # as of env and timeout; all others are the command's own
Arguments = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="Command that starts the trainer.")]
Override = Annotated[
    str, typer.Option("--override", metavar="REASON", help="Start even with a quarantined config; REASON is recorded.")
]


@command(
    "guard",
    examples=("atftctl guard -- python -m atftctl.trainer train",),
    allow_interspersed_args=False,
)
def guard(session: Session, command: Arguments, override: Override = "") -> NoReturn:
    """Run a command only if the project is safe to train.

    Refused, with exit code 125, while another operation runs or was interrupted, or if a config is broken or
    quarantined. Otherwise the exit code is that of the command.
    """
    from atftctl.cli import error_boundary
    from atftctl.operations.trainer_process import guard as operation

    try:
        check = operation.check
        marks = error_boundary.guarded(session, lambda: check(session.open(), override, session.request()))
    except typer.Exit:
        raise typer.Exit(REFUSED) from None
    _become(command, marks)


def _become(command: list[str], marks: dict[str, str]) -> NoReturn:
    """Replace this process by the command: signals and the exit code are the command's own from here on.

    The command gets `marks`, which hold its generation, and the mark of a run, which our own children do not get.
    """
    from atftctl.host.process.inherited_state import inherited_mark
    from atftctl.protocol import RUN_ID

    os.environ |= marks
    if mark := inherited_mark():
        os.environ[RUN_ID] = mark
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        message = tr("error: cannot run {command}: {reason}", command=command[0], reason=reason(error))
        say(message, "bad", hang=2, stream=sys.stderr)
        raise typer.Exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE) from None
