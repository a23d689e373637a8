"""`atftctl guard -- COMMAND`."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from atftctl.cli.command import command
from atftctl.cli.render.console import say
from atftctl.cli.session import Session
from atftctl.host.errors import reason
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    import re

    from atftctl.operations.project import Project

REFUSED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # as of env and timeout; all others are the command's own
Arguments = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="Command that starts the trainer.")]
Override = Annotated[
    str, typer.Option("--override", metavar="REASON", help="Start even with a quarantined config; REASON is recorded.")
]


Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="REGEX",
        help="Write events, metrics and a heartbeat from the lines of the output that match. Named groups become "
        "columns; the group step is the training step. Repeatable: only the first pattern tells of training steps.",
    ),
]


@command(
    "guard",
    examples=(
        "atftctl guard -- python -m atftctl.trainer train",
        "atftctl guard --pattern 'step (?P<step>[0-9]+)' -- ./train.sh",
    ),
    allow_interspersed_args=False,
)
def guard(session: Session, command: Arguments, override: Override = "", pattern: Patterns = None) -> NoReturn:
    """Run a command only if the project is safe to train.

    Refused, with exit code 125, while another operation runs or was interrupted, or if a config is broken or
    quarantined. Otherwise the exit code is that of the command. With --pattern, a program that speaks no protocol can
    be watched and rolled back: its output is passed through unchanged, and read.
    """
    from atftctl.cli import error_boundary
    from atftctl.operations.trainer_process import guard as operation

    check = operation.check
    try:
        patterns = error_boundary.guarded(session, lambda: _patterns(pattern or []))
        project = error_boundary.guarded(session, session.open)
        marks = error_boundary.guarded(session, lambda: check(project, override, session.request()))
    except typer.Exit:
        raise typer.Exit(REFUSED) from None
    if patterns:
        _report(project, command, patterns, marks)
    _become(command, marks)


def _patterns(texts: list[str]) -> "tuple[re.Pattern[bytes], ...]":
    """Raises UsageError for a pattern that can't be used."""
    from atftctl.domain.errors import UsageError
    from atftctl.protocol.output_lines import compile_patterns

    try:
        return compile_patterns(texts)
    except ValueError as error:
        raise UsageError(error.args[0], hint="atftctl guard --help") from None


def _report(
    project: "Project", command: list[str], patterns: "tuple[re.Pattern[bytes], ...]", marks: dict[str, str]
) -> NoReturn:
    """Run the command beside this process, and leave with its exit code."""
    from atftctl.host.process.inherited_state import inherited_mark
    from atftctl.host.process.passed_through import end_as
    from atftctl.operations.trainer_process import reported

    def warn(text: str) -> None:
        with suppress(OSError):
            say(tr("guard: {text}", text=text), "warn", hang=2, stream=sys.stderr)
            sys.stderr.flush()

    try:
        status = reported.run(project, command, patterns, reported.environment(marks, inherited_mark()), warn)
    except OSError as error:
        _cannot_run(command, error)
    raise typer.Exit(end_as(status))


def _cannot_run(command: list[str], error: OSError) -> NoReturn:
    message = tr("error: cannot run {command}: {reason}", command=command[0], reason=reason(error))
    say(message, "bad", hang=2, stream=sys.stderr)
    raise typer.Exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE) from None


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
        _cannot_run(command, error)
