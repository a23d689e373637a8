"""The commands that only look: where things stand, what was done, what is missing."""

from typing import Any

from atftctl.cli import options as o
from atftctl.cli import run


def status(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Where things stand. Changes nothing."""

    from atftctl.cli.render import status as render_status

    def verb() -> Any:
        from atftctl.operations.report import status as operation

        return operation.status(run.open_project(project, lang, look=True))

    run.command("status", verb, json, render_status.status)
