"""`atftctl backup …`: the commands around snapshots."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Label = Annotated[str, typer.Option("--label", metavar="TEXT", help="Name for the snapshot; restore accepts it.")]
Pin = Annotated[bool, typer.Option("--pin", help="Pin the snapshot: `backup prune` never removes it.")]
Snapshot = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT", help="Snapshot id or label, or the beginning of either; or latest, or last-good."
    ),
]
Latest = Annotated[
    str,
    typer.Argument(
        metavar="[SNAPSHOT]", help="Snapshot id or label, or the beginning of either; or latest, or last-good."
    ),
]
New = Annotated[
    str,
    typer.Argument(metavar="[NEW]", help="Snapshot to compare with (default: the current files).", show_default=False),
]
Snapshots = Annotated[
    list[str],
    typer.Argument(metavar="SNAPSHOT...", help="Snapshot ids or labels, or the beginnings of them."),
]
Some = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SNAPSHOT]...", help="Check every file of these snapshots.", show_default=False),
]
Everything = Annotated[bool, typer.Option("--all", help="Check every file of every snapshot, and copies made by cp.")]
Sample = Annotated[
    str,
    typer.Option("--sample", metavar="10%", help="Check this share of the files; those checked longest ago first."),
]
CANNOT_UNDO = tr("a removed snapshot can't be brought back")


@command(
    "backup",
    "dry_run",
    "reason",
    examples=("atftctl backup --label before-upgrade", "atftctl backup list", "atftctl backup verify"),
)
def backup(session: Session, label: Label = "", only: o.Only = "", pin: Pin = False) -> "Result":
    """Create, list, check and remove snapshots.

    Without a command: create a snapshot of the configs and models. A snapshot is a plain folder; `cp` can restore it
    too.
    """
    return _create(session, label, only, pin=pin)


@command("backup create", "dry_run", "reason", examples=("atftctl backup create --label before-upgrade --pin",))
def create(session: Session, label: Label = "", only: o.Only = "", pin: Pin = False) -> "Result":
    """Create a snapshot.

    Files that have not changed since the previous snapshot share their disk space with it.
    """
    return _create(session, label, only, pin=pin)


def _create(session: Session, label: str, only: str, *, pin: bool) -> "Result":
    from atftctl.operations.backup import create as operation

    session.command = "backup"
    return operation.create(session.open(), label, o.kind(only), session.request(), pin=pin)


@command("backup list", examples=("atftctl backup list",))
def list_(session: Session) -> "Result":
    """List the snapshots, oldest first.

    Also lists copies of configs and models that were made with cp.
    """
    from atftctl.cli.render import backups as render
    from atftctl.operations.backup import catalog

    session.render = render.snapshots
    return catalog.list_all(session.open(rescue=True))


@command("backup show", examples=("atftctl backup show", "atftctl backup show last-good"))
def show(session: Session, snapshot: Latest = "latest") -> "Result":
    """Show one snapshot.

    Shows its files, the code, the baseline, and the checks that it passed.
    """
    from atftctl.cli.render import backups as render
    from atftctl.operations.backup import catalog

    session.render = render.snapshot
    return catalog.show(session.open(rescue=True), snapshot)


@command("backup diff", examples=("atftctl backup diff last-good", "atftctl backup diff 20261129_1800 20261130_1015"))
def diff(session: Session, old: Snapshot, new: New = "now") -> "Result":
    """Compare a snapshot with the current files, or with another snapshot.

    Compares configs by key and line, models by tensor, and code by commit.
    """
    from atftctl.cli.render import backups as render
    from atftctl.operations.backup import diff as operation

    session.render = render.diff
    return operation.diff(session.open(rescue=True), old, new, session.request())


@command("backup verify", examples=("atftctl backup verify", "atftctl backup verify --sample 10%"))
def verify(session: Session, snapshots: Some = None, everything: Everything = False, sample: Sample = "") -> "Result":
    """Check snapshots for damage.

    Without options: check all manifests, and the files that were not checked for the number of days that the runbook
    sets. Exit code 1 if something is damaged.
    """
    from atftctl.domain.errors import UsageError
    from atftctl.operations.backup import verify as operation

    if sum((bool(snapshots), everything, bool(sample))) > 1:
        raise UsageError(tr("SNAPSHOT, --all and --sample can't be used together"))
    share = operation.share_of(sample) if sample else 0.0
    opened = session.open(rescue=True)
    return operation.verify(opened, tuple(snapshots or ()), session.request(), everything=everything, share=share)


@command("backup prune", *o.CHANGE, examples=("atftctl backup prune --dry-run", "atftctl backup prune"))
def prune(session: Session, confirm_within: o.NeverConfirmed = "") -> "Result":
    """Remove the snapshots that the runbook's retention does not keep.

    Never removes a pinned snapshot, the newest verified-good snapshot, or the snapshot that the next `atftctl undo`
    needs. Cannot be undone.
    """
    from atftctl.cli.render import backups as render
    from atftctl.operations.backup import prune as operation

    o.refuse_confirm_within(confirm_within, CANNOT_UNDO)
    session.render = render.prune
    return operation.prune(session.open(), session.request())


@command("backup rm", *o.CHANGE, examples=("atftctl backup rm 20261129_180000",))
def rm(session: Session, snapshots: Snapshots, confirm_within: o.NeverConfirmed = "") -> "Result":
    """Remove these snapshots.

    A pinned snapshot is not removed. Cannot be undone.
    """
    from atftctl.operations.backup import prune as operation

    o.refuse_confirm_within(confirm_within, CANNOT_UNDO)
    return operation.remove(session.open(rescue=True), snapshots, session.request())


@command("backup pin", "dry_run", "reason", examples=("atftctl backup pin last-good",))
def pin_(session: Session, snapshot: Snapshot) -> "Result":
    """Pin a snapshot: `backup prune` never removes it."""
    from atftctl.operations.backup import catalog

    return catalog.pin(session.open(rescue=True), snapshot, session.request(), away=False)


@command("backup unpin", "dry_run", "reason", examples=("atftctl backup unpin before-upgrade",))
def unpin(session: Session, snapshot: Snapshot) -> "Result":
    """Remove the pin; retention applies to this snapshot again."""
    from atftctl.operations.backup import catalog

    return catalog.pin(session.open(rescue=True), snapshot, session.request(), away=True)
