"""`atftctl restore`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli import options as o
from atftctl.cli import rehearsal
from atftctl.cli.command import command
from atftctl.cli.session import Session
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Source = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT",
        help="Snapshot id or label, or the beginning of either; latest; last-good; the path of a copy made by cp; "
        "or git:REF.",
    ),
]
Paths = Annotated[
    list[str] | None, typer.Argument(metavar="[PATH]...", help="Only these files or folders.", show_default=False)
]
To = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="Write to this new folder instead; the project is not changed."),
]


@command(
    "restore",
    *o.CHANGE_FILES,
    *o.RESTART,
    *o.CONFIRM,
    *o.REHEARSE,
    examples=(
        "atftctl restore last-good --dry-run",
        "atftctl restore 20261130_101500 configs/config.yaml",
        "atftctl restore git:HEAD~1",
    ),
)
def restore(session: Session, snapshot: Source, paths: Paths = None, only: o.Only = "", to: To = None) -> "Result":
    """Restore files from a snapshot or from git.

    Either all files change or none. `last-good` is the newest snapshot that `atftctl verify` has passed; `latest` is
    the newest snapshot that was taken with `atftctl backup`.
    """
    from atftctl.operations import restore as operation

    opened = session.open(rescue=True)
    chosen, kind = tuple(paths or ()), o.kind(only)
    if snapshot.startswith("git:"):
        session.leave_tree(opened)
    if to is not None:
        o.refuse_confirm_within(session.confirm_within, tr("--to does not change the project"))
        rehearsal.refuse(session.rehearse, tr("--to does not change the project"))
        return operation.export(opened, snapshot, chosen, to, session.request(), only=kind)
    policy = session.rescue_policy(opened)
    return operation.restore(opened, snapshot, chosen, policy, session.request(policy=policy), only=kind)
