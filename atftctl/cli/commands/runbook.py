"""`atftctl runbook …`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run

runbook_app = typer.Typer(help="The runbook.", no_args_is_help=True, rich_markup_mode=None)


@runbook_app.command("show")
def runbook_show(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """What the runbook says: symptoms, settings, phases, contacts."""

    from atftctl.cli.render import status as render_status

    def verb() -> Any:

        from atftctl.operations.runbook import show as runbook_report

        return runbook_report.runbook(run.open_project(project, lang))

    run.command("runbook show", verb, json, render_status.runbook)


@runbook_app.command("lint")
def runbook_lint(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Does the runbook hold together? File, line, key and the nearest valid name where it does not."""

    def verb() -> Any:

        from atftctl.operations.runbook import show as runbook_report

        return runbook_report.lint(run.open_project(project, "", look=True))

    run.command("runbook lint", verb, json)


@runbook_app.command("render")
def runbook_render(
    check: Annotated[bool, typer.Option("--check", help="Only compare: exit 1 where a page is out of date.")] = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """The runbook as pages for people, beside it, in English and Japanese."""

    def verb() -> Any:
        from atftctl.operations.runbook import pages

        with run.request(o.Change(dry_run, True, "", json)) as request:
            return pages.render(run.open_project(project, ""), request, check=check)

    run.command("runbook render", verb, json)
