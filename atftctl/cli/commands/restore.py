"""The commands that change the project, beside `rollback`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def restore(
    snapshot: Annotated[
        str,
        typer.Argument(help="An id, the beginning of one, a label, latest, last-good; a copy made by cp; or git:REF."),
    ],
    paths: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Only these files or folders.")] = None,
    only: o.Only = "",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Into this new folder; the project is not touched.")
    ] = None,
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    no_restart: o.NoRestart = False,
    adopt: o.Adopt = None,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take files back from a snapshot, or from a commit of git, all at once or not at all."""

    def verb() -> Any:
        from atftctl.operations import restore as operation

        opened = run.open_project(project, "", rescue=True)
        chosen, kind = tuple(paths or ()), o.kind(only)
        if snapshot.startswith("git:") and not dry_run:
            run.go_private(opened)
        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            if to is not None:
                return operation.export(opened, snapshot, chosen, to, request, only=kind)
            wish = run.wish(no_restart or not opened.runbook.trainer.command, adopt)
            return operation.restore(opened, snapshot, chosen, wish, request, only=kind)

    run.command("restore", verb, json)
