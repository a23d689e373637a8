"""The commands that change the project, beside `rollback`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run


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


def resume(
    operation: Annotated[str, typer.Argument(metavar="[OPERATION]", help="Which one, where it is to be that.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Forget it instead; all files stay as they are.")] = False,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    adopt: o.Adopt = None,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Go on with what was left in the middle: a staged rollback, an operation that a crash left open."""

    def verb() -> Any:
        from atftctl.operations.rollback import staged as verbs

        with run.request(o.Change(dry_run, True, reason, json)) as request:
            return verbs.resume(run.open_project(project, ""), operation, run.wish(False, adopt), request, drop=drop)

    run.command("resume", verb, json)


def recover(
    back: Annotated[
        bool, typer.Option("--back", help="Put all files back, also those of an operation that was decided.")
    ] = False,
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Finish or unwind what a crash left open."""

    def verb() -> Any:
        from atftctl.operations.report import status as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.recover(run.open_project(project, "", rescue=True), request, back=back)

    run.command("recover", verb, json)
