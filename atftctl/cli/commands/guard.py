"""`atftctl guard -- COMMAND`: the command, unless something stands against it."""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from atftctl.cli import options as o
from atftctl.cli import run
from atftctl.cli.terminal import emit
from atftctl.host.errors import reason

REFUSED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # as of env and timeout; all others are the command's own


def guard(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What starts the trainer.")],
    override: Annotated[
        str, typer.Option("--override", metavar="REASON", help="Start a quarantined config all the same.")
    ] = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Run a command that starts a trainer, unless an operation is open, a config is broken or quarantined.

    Its exit code is the command's; our own refusals are 125.
    """
    from atftctl.cli import error_boundary

    def verb() -> Any:
        from atftctl.operations.trainer_process import guard as operation

        operation.check(run.open_project(project, ""), override)

    try:
        error_boundary.guarded("guard", verb, as_json=json)
    except typer.Exit:
        raise typer.Exit(REFUSED) from None
    _become(command)


def _become(command: list[str]) -> NoReturn:
    """Signals and the exit code are the command's own from here on; the mark of a run too, that we took away from our
    own children."""
    from atftctl.host.process.inherited_state import inherited_mark
    from atftctl.protocol import RUN_ID

    if mark := inherited_mark():
        os.environ[RUN_ID] = mark
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        emit(f"error: can't run {command[0]}: {reason(error)}", stream=sys.stderr)
        raise typer.Exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE) from None
