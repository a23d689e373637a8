"""`atftctl drill`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def drill(
    symptom: Annotated[
        str, typer.Option("--symptom", metavar="NAME", help="Symptom to rehearse (default: out of memory).")
    ] = "",
    data: Annotated[
        str, typer.Option("--data", metavar="FILE", help="Real prices, in place of the synthetic market.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch copy.")] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Rehearse an incident in a scratch copy.

    A real out of memory, the rollback, the proof, the way back.
    """

    def verb() -> Any:
        from atftctl.operations.drill import rehearsal as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.run(run.open_project(project, ""), symptom, data, request.report, keep=keep)

    run.command("drill", verb, json)
