"""`atftctl show`."""

from __future__ import annotations

from typing import Any

from atftctl.cli import options as o
from atftctl.cli import run


def show_(
    operation: o.Operation = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """All that is known of one operation: plan, diff, evidence, timeline, verdict, who, why."""
    from atftctl.cli.render import history as show_history

    def verb() -> Any:

        from atftctl.operations.report import history as operation_history

        return operation_history.show(run.open_project(project, "", rescue=True), operation)

    run.command("show", verb, json, show_history.operation)
