"""`atftctl reenable`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def reenable(
    phase: Annotated[int, typer.Option("--phase", metavar="N", help="Which phase; it needs the one before.")],
    plan: Annotated[
        str, typer.Option("--plan", metavar="NAME", help="A plan of the runbook, if not its default.")
    ] = "",
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    no_restart: o.NoRestart = False,
    adopt: o.Adopt = None,
    lang: o.Lang = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Bring the improvements back, one phase at a time."""

    def verb() -> Any:
        from atftctl.operations import reenable as operation

        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            return operation.phase(run.open_project(project, lang), phase, plan, run.wish(no_restart, adopt), request)

    run.command("reenable", verb, json)
