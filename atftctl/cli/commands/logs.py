"""`atftctl logs`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Errors = Annotated[bool, typer.Option("--errors", help="Count the errors by kind and time, and show the first one.")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with lines as they are written, until Ctrl-C is pressed.")
]
SinceOption = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="TIME",
        help="From when on: 2h, 30min, 10:31, 2026-11-30 10:31, start (of the trainer) or all (rotated files, too).",
    ),
]
Lines = Annotated[
    int | None,
    typer.Option(
        "--lines",
        "-n",
        metavar="N",
        min=0,
        show_default=False,
        help="Show the newest N lines (default: 20; 1000 with --since).",
    ),
]
Grep = Annotated[
    str,
    typer.Option(
        "--grep",
        metavar="PATTERN",
        help="Only lines that this regular expression matches; in small letters, it matches capitals, too.",
    ),
]
File = Annotated[str, typer.Option("--file", metavar="LOG", help="Only this log of the runbook.")]


@command(
    "logs",
    examples=("atftctl logs --errors", "atftctl logs --follow", "atftctl logs --since 2h --grep 'error|fail|rollback'"),
)
def logs(
    session: Session,
    errors: Errors = False,
    follow: Follow = False,
    since: SinceOption = "",
    lines: Lines = None,
    grep: Grep = "",
    file: File = "",
) -> "Result":
    """Show the trainer's logs and the errors in them.

    Shows the newest lines since the trainer was started. --errors counts the kinds of errors that the runbook names;
    --follow with --errors or --grep shows only lines that match. The exit code is 0 also where there are errors.
    Changes nothing.
    """
    from atftctl.cli.render import logs as render
    from atftctl.operations.report import log_errors, log_query
    from atftctl.operations.report import logs as operation

    query = log_query.LogQuery(since, lines, grep, file)
    opened = session.open(look=True)
    if follow:
        from atftctl.cli.log_stream import stream
        from atftctl.operations.report.follow_logs import follow_logs

        return stream(session, follow_logs(opened, query, session.reporter, errors=errors))
    if errors:
        session.render = render.errors
        return log_errors.errors(opened, query, session.reporter)
    session.render = render.newest
    return operation.newest(opened, query, session.reporter)
