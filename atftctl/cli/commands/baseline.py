"""`atftctl baseline …`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run

baseline_app = typer.Typer(help="The level that verify compares with.", no_args_is_help=True, rich_markup_mode=None)


@baseline_app.command("record")
def baseline_record(
    anyway: Annotated[bool, typer.Option("--anyway", help="Also with improvements on.")] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Measure the level that verify compares with. Run it while all is well, with the improvements off."""

    def verb() -> Any:

        from atftctl.operations.verification import baseline as baseline_recording

        with run.request(o.Change(False, True, "", json)) as request:
            return baseline_recording.record_baseline(run.open_project(project, ""), request, anyway=anyway)

    run.command("baseline record", verb, json)
