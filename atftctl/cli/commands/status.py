"""The commands that only look: where things stand, what was done, what is missing."""

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


def status(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Where things stand. Changes nothing."""
    from atftctl.cli.render import console

    def verb() -> Any:
        from atftctl.operations.report import status as operation

        return operation.status(run.open_project(project, lang, look=True))

    run.command("status", verb, json, console.status)


def history(
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="How many, the newest.")] = 20,
    check: Annotated[bool, typer.Option("--check", help="Was a line altered or taken out?")] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """What was done here, by whom and why."""
    from atftctl.cli.render import console
    from atftctl.cli.render import history as show_history

    def verb() -> Any:
        from atftctl.operations.report import status as operation

        opened = run.open_project(project, "", rescue=True)
        return operation.check_history(opened) if check else operation.history(opened, most)

    run.command("history", verb, json, console.result if check else show_history.operations)


def show_(
    operation: o.Operation = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """All that is known of one operation: plan, diff, evidence, timeline, verdict, who, why."""
    from atftctl.cli.render import history as show_history

    def verb() -> Any:
        from atftctl.operations.report import status as verbs

        return verbs.show(run.open_project(project, "", rescue=True), operation)

    run.command("show", verb, json, show_history.operation)


def doctor(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """What is missing on this machine, and what that costs. Changes nothing."""
    from atftctl.cli.render import console

    def verb() -> Any:
        from atftctl.operations.report import doctor as operation

        return operation.doctor(run.open_project(project, lang, look=True))

    run.command("doctor", verb, json, console.findings)
