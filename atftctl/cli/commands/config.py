"""`atftctl config get|set`."""

from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run

app = typer.Typer(help="Single settings, as the configs have them.", no_args_is_help=True, rich_markup_mode=None)


@app.command("get")
def get(
    key: Annotated[str, typer.Argument(metavar="[KEY]", help="A dotted key, or a feature's name.")] = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """The value of one setting; all of them where none is named."""

    def verb() -> Any:
        from atftctl.operations import config as operation

        return operation.get(run.open_project(project, ""), key)

    run.command("config get", verb, json)


@app.command("set")
def put(
    words: Annotated[list[str], typer.Argument(metavar="KEY VALUE | KEY=VALUE...", help="Keys or features' names.")],
    live: o.Live = False,
    or_undo: o.OrUndo = False,
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    no_restart: o.NoRestart = False,
    adopt: o.Adopt = None,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Change settings, as text: plan, diff, snapshot, restart, proof, undo, as for a rollback."""

    def verb() -> Any:
        from atftctl.operations import config as operation

        with run.request(o.Change(dry_run, yes, reason, json, or_undo)) as request:
            return operation.put(run.open_project(project, ""), words, run.wish(no_restart, adopt, live=live), request)

    run.command("config set", verb, json)
