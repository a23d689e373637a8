"""`atftctl backup …`: the verbs around snapshots."""

from pathlib import Path
from typing import Annotated, Any

import typer

from atftctl.cli import options as o
from atftctl.cli import run

app = typer.Typer(help="Snapshots of configs and models.", invoke_without_command=True, rich_markup_mode=None)

Label = Annotated[str, typer.Option("--label", metavar="TEXT", help="A name to restore it by.")]
Pin = Annotated[bool, typer.Option("--pin", help="Keep it whatever the retention says.")]
Which = Annotated[str, typer.Argument(help="An id, the beginning of one, a label, latest or last-good.")]


@app.callback()
def backup(
    context: typer.Context,
    label: Label = "",
    only: o.Only = "",
    pin: Pin = False,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Snapshots of configs and models: plain folders that cp restores too. Without a verb: take one."""
    if not context.invoked_subcommand:
        _create(label, only, pin, o.Change(dry_run, True, reason, json), project)


@app.command("create")
def create(
    label: Label = "",
    only: o.Only = "",
    pin: Pin = False,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take one. Unchanged files are shared with the snapshot before."""
    _create(label, only, pin, o.Change(dry_run, True, reason, json), project)


def _create(label: str, only: str, pin: bool, change: o.Change, project: Path) -> None:
    def verb() -> Any:
        from atftctl.operations.backup import create as operation

        with run.request(change) as request:
            return operation.create(run.open_project(project, ""), label, o.kind(only), request, pin=pin)

    run.command("backup", verb, change.json)


@app.command("list")
def list_(json: o.Json = False, project: o.Project = o.HERE) -> None:
    """The snapshots, oldest first, and the copies that the guide's cp made."""
    from atftctl.cli.render import backups

    def verb() -> Any:

        from atftctl.operations.backup import catalog as backup_catalog

        return backup_catalog.list_all(run.open_project(project, "", rescue=True))

    run.command("backup list", verb, json, backups.snapshots)


@app.command("show")
def show(snapshot: Which = "latest", json: o.Json = False, project: o.Project = o.HERE) -> None:
    """All that one of them holds: files, code, baseline, which checks it passed."""
    from atftctl.cli.render import backups

    def verb() -> Any:

        from atftctl.operations.backup import catalog as backup_catalog

        return backup_catalog.show(run.open_project(project, "", rescue=True), snapshot)

    run.command("backup show", verb, json, backups.one)


@app.command("diff")
def diff(
    old: Which,
    new: Annotated[str, typer.Argument(metavar="[NEW]", help="Another one; what stands now if none is named.")] = "now",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Configs by key and line, models by tensor, code by commit."""
    from atftctl.cli.render import backups

    def verb() -> Any:
        from atftctl.operations.backup import diff as operation

        with run.request(o.Change(False, True, "", json)) as request:
            return operation.diff(run.open_project(project, "", rescue=True), old, new, request)

    run.command("backup diff", verb, json, backups.diff)


@app.command("verify")
def verify(
    snapshots: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Hash these.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Hash every copy; also what cp made.")] = False,
    sample: Annotated[
        str, typer.Option("--sample", metavar="10%", help="Hash so large a share, what was not hashed longest first.")
    ] = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Are they still what they were? Without options: all manifests, and the copies whose check is due."""
    from atftctl.domain.errors import UsageError

    def verb() -> Any:
        from atftctl.operations.backup import verify as operation

        if sum((bool(snapshots), everything, bool(sample))) > 1:
            raise UsageError("ID…, --all and --sample exclude each other")
        share = operation.share_of(sample) if sample else 0.0
        opened = run.open_project(project, "", rescue=True)
        with run.request(o.Change(False, True, "", json)) as request:
            return operation.verify(opened, tuple(snapshots or ()), request, everything=everything, share=share)

    run.command("backup verify", verb, json)


@app.command("prune")
def prune(
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take away what the runbook's backups.keep does not keep. Can't be undone."""
    from atftctl.cli.render import backups

    def verb() -> Any:
        from atftctl.operations.backup import prune as operation

        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            return operation.prune(run.open_project(project, ""), request)

    run.command("backup prune", verb, json, backups.prune)


@app.command("rm")
def rm(
    snapshots: Annotated[list[str], typer.Argument(metavar="ID...", help="As for restore.")],
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Take these away. Can't be undone."""

    def verb() -> Any:
        from atftctl.operations.backup import prune as operation

        with run.request(o.Change(dry_run, yes, reason, json)) as request:
            return operation.remove(run.open_project(project, "", rescue=True), snapshots, request)

    run.command("backup rm", verb, json)


@app.command("pin")
def pin_(
    snapshot: Which,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """Keep it whatever the retention says."""
    _pin(snapshot, False, o.Change(dry_run, True, reason, json), project)


@app.command("unpin")
def unpin(
    snapshot: Which,
    dry_run: o.DryRun = False,
    reason: o.Reason = "",
    json: o.Json = False,
    project: o.Project = o.HERE,
) -> None:
    """No longer."""
    _pin(snapshot, True, o.Change(dry_run, True, reason, json), project)


def _pin(snapshot: str, away: bool, change: o.Change, project: Path) -> None:
    def verb() -> Any:

        from atftctl.operations.backup import catalog as backup_catalog

        with run.request(change) as request:
            return backup_catalog.pin(run.open_project(project, "", rescue=True), snapshot, request, away=away)

    run.command("backup unpin" if away else "backup pin", verb, change.json)
