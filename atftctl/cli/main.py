"""The commands. Each one names its options, and calls one verb; everything heavy is imported when it is called."""

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run
from atftctl.cli.guard import guard
from atftctl.cli.late import LateGroups
from atftctl.cli.looks import doctor, history, show_, status
from atftctl.cli.rollback import rollback

app = typer.Typer(
    name="atftctl",
    cls=LateGroups,
    help="Take the ATFT-GAT-FAN training service back to a known-good state, prove it, bring improvements back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from atftctl import __version__

        typer.echo(f"atftctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    del version


app.command()(status)
app.command()(rollback)
app.command(context_settings={"allow_interspersed_args": False})(guard)
app.command()(history)
app.command("show")(show_)
app.command()(doctor)


@app.command()
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


@app.command()
def restore(
    snapshot: Annotated[
        str, typer.Argument(help="An id, the beginning of one, a label, latest, last-good; or a copy made by cp.")
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
    """Take files back from a snapshot, all at once or not at all."""

    def verb() -> Any:
        from atftctl.operations import restore as operation

        opened = run.open_project(project, "", rescue=True)
        chosen, kind = tuple(paths or ()), o.kind(only)
        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            if to is not None:
                return operation.export(opened, snapshot, chosen, to, request, only=kind)
            wish = run.wish(no_restart or not opened.runbook.trainer.command, adopt)
            return operation.restore(opened, snapshot, chosen, wish, request, only=kind)

    run.command("restore", verb, json)


@app.command()
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
        from atftctl.operations import restore as verbs

        opened = run.open_project(project, "", rescue=True)
        if not dry_run:
            run.go_private(opened)
        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            return verbs.undo(
                opened, operation, run.wish(no_restart or not opened.runbook.trainer.command, adopt), request
            )

    run.command("undo", verb, json)


@app.command()
def resume(
    drop: Annotated[bool, typer.Option("--drop", help="Forget it instead; all files stay as they are.")] = False,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    adopt: o.Adopt = None,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Go on with what was left in the middle: a staged rollback, an operation that a crash left open."""

    def verb() -> Any:
        from atftctl.operations import staged as operation

        with run.request(o.Change(dry_run, True, reason, json)) as request:
            return operation.resume(run.open_project(project, ""), run.wish(False, adopt), request, drop=drop)

    run.command("resume", verb, json)


@app.command()
def recover(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Finish or unwind what a crash left open."""

    def verb() -> Any:
        from atftctl.operations import status as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.recover(run.open_project(project, "", rescue=True), request)

    run.command("recover", verb, json)


@app.command()
def verify(
    effects: Annotated[
        bool, typer.Option("--effects", help="Instead: does each flag do what it is there for?")
    ] = False,
    lang: o.Lang = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """The checklist: is the service back at its level?

    Model, data, training, RankIC, errors, memory, service, training time.
    """
    from atftctl.cli import show

    def effects_verb() -> Any:
        from atftctl.operations import effects as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.effects(run.open_project(project, lang), request)

    def verb() -> Any:
        from atftctl.operations import verify as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.verify(run.open_project(project, lang), request)

    if effects:
        run.command("verify --effects", effects_verb, json, show.effects)
    run.command("verify", verb, json, show.checklist)


@app.command()
def drill(
    symptom: Annotated[str, typer.Option("--symptom", metavar="NAME", help="Which incident; so far oom.")] = "oom",
    data: Annotated[
        str, typer.Option("--data", metavar="FILE", help="Real prices, in place of the synthetic market.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch copy.")] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Rehearse an incident in a scratch copy.

    A real out of memory, the rollback, the proof, the way back.
    """

    def verb() -> Any:
        from atftctl.operations import drill as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.run(run.open_project(project, ""), symptom, data, request.report, keep=keep)

    run.command("drill", verb, json)


def main() -> None:
    """The `atftctl` command."""
    from atftctl.host.interrupts import as_interrupt
    from atftctl.host.ourselves import settle_in

    for stream in (sys.stdout, sys.stderr):  # a locale that knows no Japanese must not stop a rescue
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    settle_in()
    as_interrupt()
    if "--json" in sys.argv:
        boundary_json()
    app()


def boundary_json() -> None:
    """Wrong options too end in the envelope, where JSON was asked for."""
    from atftctl.cli.boundary import usage_as_json

    sys.exit(usage_as_json(app))
