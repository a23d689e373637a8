"""The commands. Each one names its options, and calls one verb; everything heavy is imported when it is called."""

import io
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from atftctl.cli import options as o

app = typer.Typer(
    name="atftctl",
    help="Take the ATFT-GAT-FAN training service back to a known-good state, prove it, bring improvements back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
trainer_app = typer.Typer(help="The trainer's process by itself.", no_args_is_help=True, rich_markup_mode=None)
baseline_app = typer.Typer(help="The level that verify compares with.", no_args_is_help=True, rich_markup_mode=None)
runbook_app = typer.Typer(help="The runbook.", no_args_is_help=True, rich_markup_mode=None)
backup_app = typer.Typer(help="Snapshots of configs and models.", invoke_without_command=True, rich_markup_mode=None)
for name, group in (
    ("backup", backup_app),
    ("trainer", trainer_app),
    ("baseline", baseline_app),
    ("runbook", runbook_app),
):
    app.add_typer(group, name=name)


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


@app.command()
def rollback(
    symptom: Annotated[
        str,
        typer.Option(
            "--symptom",
            metavar="NAME",
            help="oom, divergence, degradation, slow-convergence, memory-leak; or its title.",
        ),
    ] = "",
    immediate: Annotated[bool, typer.Option("--immediate", help="All improvements off.")] = False,
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    no_restart: o.NoRestart = False,
    adopt: o.Adopt = None,
    lang: o.Lang = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take improvements back: by symptom, or all of them at once."""
    from atftctl.domain.errors import WrongUsage
    from atftctl.domain.result import Result

    def verb() -> Result:
        from atftctl.operations import rollback as operation

        if bool(symptom) == immediate:
            raise WrongUsage(
                "one of --symptom NAME and --immediate is needed",
                then="atftctl runbook show lists the symptoms",
            )
        opened = _open(project, lang)
        wish = _wish(no_restart, adopt)
        with _request(o.Change(dry_run, yes, reason, json)) as request:
            if immediate:
                return operation.immediate(opened, wish, request)
            return operation.by_symptom(opened, symptom, wish, request)

    _run("rollback", verb, json)


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

        with _request(o.Change(dry_run, yes, reason, json)) as request:
            return operation.phase(_open(project, lang), phase, plan, _wish(no_restart, adopt), request)

    _run("reenable", verb, json)


@app.command()
def restore(
    snapshot: Annotated[str, typer.Argument(help="An id, the beginning of one, a label, latest or last-good.")],
    paths: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Only these files.")] = None,
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

        opened = _open(project, "", rescue=True)
        with _request(o.Change(dry_run, yes, reason, json)) as request:
            return operation.restore(
                opened,
                snapshot,
                tuple(paths or ()),
                _wish(no_restart or not opened.runbook.trainer.command, adopt),
                request,
            )

    _run("restore", verb, json)


@app.command()
def undo(
    operation: Annotated[
        str, typer.Argument(metavar="[OPERATION]", help="Which one; the newest if none is named.")
    ] = "",
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

        opened = _open(project, "", rescue=True)
        with _request(o.Change(dry_run, yes, reason, json)) as request:
            return verbs.undo(
                opened, operation, _wish(no_restart or not opened.runbook.trainer.command, adopt), request
            )

    _run("undo", verb, json)


@app.command()
def recover(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Finish or unwind what a crash left open."""

    def verb() -> Any:
        from atftctl.operations import status as operation

        with _request(o.Change(False, True, "", json)) as request:
            return operation.recover(_open(project, "", rescue=True), request)

    _run("recover", verb, json)


@app.command()
def status(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Where things stand. Changes nothing."""
    from atftctl.cli import show

    def verb() -> Any:
        from atftctl.operations import status as operation

        return operation.status(_open(project, lang))

    _run("status", verb, json, show.status)


@app.command()
def history(
    most: Annotated[int, typer.Option("--most", metavar="N", help="How many, the newest.")] = 20,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """What was done here, by whom and why."""
    from atftctl.cli import show

    def verb() -> Any:
        from atftctl.operations import status as operation

        return operation.history(_open(project, "", rescue=True), most)

    _run("history", verb, json, show.operations)


@app.command()
def verify(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """The checklist after a rollback: model, data, training, RankIC, errors, memory, service, time."""
    from atftctl.cli import show

    def verb() -> Any:
        from atftctl.operations import verify as operation

        with _request(o.Change(False, True, "", json)) as request:
            return operation.verify(_open(project, lang), request)

    _run("verify", verb, json, show.checklist)


@app.command()
def drill(
    symptom: Annotated[str, typer.Option("--symptom", metavar="NAME", help="Which incident to rehearse.")] = "oom",
    data: Annotated[
        str, typer.Option("--data", metavar="FILE", help="Real prices, in place of the synthetic market.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch copy.")] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Rehearse an incident in a scratch copy: a real failure, the rollback, the proof, the way back."""

    def verb() -> Any:
        from atftctl.operations import drill as operation

        with _request(o.Change(False, True, "", json)) as request:
            return operation.run(_open(project, ""), symptom, data, request.report, keep=keep)

    _run("drill", verb, json)


@backup_app.callback()
def backup(
    context: typer.Context,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="A name to restore it by.")] = "",
    only: Annotated[str, typer.Option("--only", metavar="configs|models", help="One kind of files.")] = "",
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Snapshots of configs and models: plain folders that cp restores too. Without a verb: take one."""
    if context.invoked_subcommand:
        return
    from atftctl.domain.errors import WrongUsage

    def verb() -> Any:
        from atftctl.operations import backup as operation

        if only not in ("", "configs", "models"):
            raise WrongUsage(f"--only {only!r} is neither configs nor models")
        with _request(o.Change(dry_run, True, reason, json)) as request:
            return operation.create(_open(project, ""), label, only, request)  # type: ignore[arg-type]

    _run("backup", verb, json)


@backup_app.command("list")
def backup_list(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """The snapshots, oldest first."""
    from atftctl.cli import show

    def verb() -> Any:
        from atftctl.operations import backup as operation

        return operation.list_all(_open(project, "", rescue=True))

    _run("backup list", verb, json, show.snapshots)


@baseline_app.command("record")
def baseline_record(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Measure the level that verify compares with. Run it while all is well, with the improvements off."""

    def verb() -> Any:
        from atftctl.operations import verify as operation

        with _request(o.Change(False, True, "", json)) as request:
            return operation.record_baseline(_open(project, ""), request)

    _run("baseline record", verb, json)


@runbook_app.command("show")
def runbook_show(lang: o.Lang = "", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """What the runbook says: symptoms, settings, phases, contacts."""
    from atftctl.cli import show

    def verb() -> Any:
        from atftctl.operations import status as operation

        return operation.runbook(_open(project, lang))

    _run("runbook show", verb, json, show.runbook)


@runbook_app.command("lint")
def runbook_lint(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """Does the runbook hold together? File, line, key and the nearest valid name where it does not."""

    def verb() -> Any:
        from atftctl.operations import status as operation

        return operation.runbook(_open(project, ""))

    _run("runbook lint", verb, json)


Resume = Annotated[str, typer.Option("--resume", metavar="last|best|scratch", help="From which checkpoint.")]


@trainer_app.command("start")
def trainer_start(
    resume: Resume = "last",
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Start the trainer and wait for its first step."""
    _trainer("start", resume, None, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("stop")
def trainer_stop(
    adopt: o.Adopt = None,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Ask it to save and leave; kill it if it does not; prove that nobody is left."""
    _trainer("stop", "", adopt, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("restart")
def trainer_restart(
    resume: Resume = "last",
    adopt: o.Adopt = None,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Stop it, then start it."""
    _trainer("restart", resume, adopt, o.Change(dry_run, True, reason, json), project)


@trainer_app.command("status")
def trainer_status(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """The recorded trainer, and those that were started by hand."""
    _trainer("status", "", None, o.Change(False, True, "", json), project)


def _trainer(verb_name: str, resume: str, adopt: list[int] | None, change: o.Change, project: Path) -> NoReturn:
    from atftctl.domain.errors import WrongUsage

    def verb() -> Any:
        from atftctl.operations import trainer as operation

        if resume not in ("", "last", "best", "scratch"):
            raise WrongUsage(f"--resume {resume!r} is none of last, best, scratch")
        opened = _open(project, "")
        with _request(change) as request:
            if verb_name == "status":
                return operation.status(opened)
            if verb_name == "stop":
                return operation.stop(opened, tuple(adopt or ()), request)
            if verb_name == "start":
                return operation.start(opened, resume, request)
            return operation.restart(opened, resume, tuple(adopt or ()), request)

    _run(f"trainer {verb_name}", verb, change.json)


def _open(project: Path, lang: str, *, rescue: bool = False) -> Any:
    from atftctl.cli.boundary import know_contacts
    from atftctl.operations import project as projects

    opened = (projects.open_for_rescue if rescue else projects.open_project)(project, o.language(lang))
    know_contacts(opened.contacts)
    return opened


def _wish(no_restart: bool, adopt: list[int] | None) -> Any:
    from atftctl.decide.assemble import Wish

    return Wish(restart=not no_restart, adopt=tuple(adopt or ()))


def _request(change: o.Change) -> Any:
    from atftctl.cli.request import request

    return request(change)


def _run(command: str, verb: Any, as_json: bool, render: Any = None) -> NoReturn:
    from atftctl.cli import boundary, show

    boundary.run(command, verb, as_json=as_json, render=render or show.result)


def main() -> None:
    """The `atftctl` command."""
    from atftctl.host.interrupts import as_interrupt

    for stream in (sys.stdout, sys.stderr):  # a locale that knows no Japanese must not stop a rescue
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    as_interrupt()
    app()
