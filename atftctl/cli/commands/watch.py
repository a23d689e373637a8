"""`atftctl watch`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Once = Annotated[
    bool, typer.Option("--once", help="Look once, for cron: everything that is new since the last look of a watcher.")
]
Interval = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=3600, help="Time between two looks.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Plain lines, also on a terminal.")]


@command("watch", examples=("atftctl watch", "atftctl watch --once", "atftctl watch --json >>watch.jsonl"))
def watch(session: Session, once: Once = False, interval: Interval = 0.5, plain: Plain = False) -> "Result":
    """Watch the trainer, and say what is wrong as soon as it shows.

    Reads what the trainer writes as it is written: on a terminal a live screen; else a line for each change, and one a
    minute. With --json each line is one JSON object. Ends with Ctrl-C. The exit code is 0 if the trainer was healthy at
    the last look, 1 if it was not, and 6 if that could not be told. Only one watcher runs in a project; --once also
    runs beside it. Changes nothing of the project.
    """
    from atftctl.operations.monitoring import watch as operation

    project = session.open(look=True)
    if once:
        from atftctl.cli.render.diagnosis import watched

        session.render = watched
        return operation.once(project, session.reporter)
    from atftctl.cli.watch_stream import stream

    return stream(session, project, operation.watch(project, session.reporter, interval), plain=plain)
