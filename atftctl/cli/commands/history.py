"""`atftctl history`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def history(
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="How many, the newest.")] = 20,
    check: Annotated[bool, typer.Option("--check", help="Was a line altered or taken out?")] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """What was done here, by whom and why."""
    from atftctl.cli.render import history as show_history
    from atftctl.cli.render import result as render_result

    def verb() -> Any:

        from atftctl.operations.report import history as operation_history

        opened = run.open_project(project, "", rescue=True)
        return operation_history.check_history(opened) if check else operation_history.history(opened, most)

    run.command("history", verb, json, render_result.result if check else show_history.operations)
