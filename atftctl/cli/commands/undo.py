"""`atftctl undo`."""

from __future__ import annotations

from typing import Any

from atftctl.cli import options as o
from atftctl.cli import run


def undo(
    operation: o.Operation = "",
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    no_restart: o.NoRestart = False,
    adopt: o.Adopt = None,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take one operation back. An undo can be undone."""

    def verb() -> Any:

        from atftctl.operations import undo as undoing

        opened = run.open_project(project, "", rescue=True)
        if not dry_run:
            run.go_private(opened)
        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            return undoing.undo(
                opened, operation, run.wish(no_restart or not opened.runbook.trainer.command, adopt), request
            )

    run.command("undo", verb, json)
