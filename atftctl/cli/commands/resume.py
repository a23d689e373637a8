"""`atftctl resume`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def resume(
    operation: Annotated[str, typer.Argument(metavar="[OPERATION]", help="Which one, where it is to be that.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Forget it instead; all files stay as they are.")] = False,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    adopt: o.Adopt = None,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Go on with what was left in the middle: a staged rollback, an operation that a crash left open."""

    def verb() -> Any:
        from atftctl.operations.rollback import staged as verbs

        with run.request(o.Change(dry_run, True, reason, json)) as request:
            return verbs.resume(run.open_project(project, ""), operation, run.wish(False, adopt), request, drop=drop)

    run.command("resume", verb, json)
