"""Read and change single settings."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Key = Annotated[
    str,
    typer.Argument(
        metavar="[KEY]",
        help="Dotted key, or the name of an improvement (default: all settings).",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str],
    typer.Argument(metavar="KEY VALUE | KEY=VALUE...", help="Dotted keys, or names of improvements, and new values."),
]


@command("config get", examples=("atftctl config get", "atftctl config get model.dropout"))
def get(session: Session, key: Key = "") -> "Result":
    """Show the value of one setting, or all settings."""
    from atftctl.operations import config as operation

    return operation.get_settings(session.open(), key)


@command(
    "config set",
    *o.CHANGE_FILES,
    *o.RESTART,
    *o.CONFIRM,
    *o.REHEARSE,
    examples=(
        "atftctl config set model.dropout 0.1",
        "atftctl config set model.dropout=0.1 optimizer.lr=0.0003 --dry-run",
    ),
)
def put(session: Session, settings: Settings, live: o.Live = False, or_undo: o.OrUndo = False) -> "Result":
    """Change settings and restart the trainer with them.

    Shows the plan and the diff, asks, takes a snapshot, edits the config files, restarts the trainer and waits for its
    first step. Comments and all other lines of the files stay as they are.
    """
    from atftctl.operations import config as operation

    policy = session.restart_policy(live=live)
    return operation.set_settings(session.open(), settings, policy, session.request(or_undo=or_undo, policy=policy))
