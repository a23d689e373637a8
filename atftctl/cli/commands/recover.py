"""`atftctl recover`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def recover(
    back: Annotated[
        bool, typer.Option("--back", help="Put all files back, also those of an operation that was decided.")
    ] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Finish or unwind what a crash left open."""

    def verb() -> Any:

        from atftctl.operations import recover as recovering

        with run.request(o.Change(False, True, "", json)) as request:
            return recovering.recover(run.open_project(project, "", rescue=True), request, back=back)

    run.command("recover", verb, json)
