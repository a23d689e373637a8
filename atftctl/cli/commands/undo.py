"""`atftctl undo`."""

from typing import TYPE_CHECKING

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result


@command(
    "undo",
    *o.CHANGE_FILES,
    *o.RESTART,
    *o.CONFIRM,
    examples=("atftctl undo", "atftctl undo 20261130_101500 --dry-run"),
)
def undo(session: Session, operation: o.Operation = "") -> "Result":
    """Undo one operation.

    Puts the files back as they were before the operation. An undo can be undone too. Refused if a config was edited
    after the operation.
    """
    from atftctl.operations import undo as operations

    opened = session.open(rescue=True)
    session.leave_tree(opened)
    policy = session.rescue_policy(opened)
    return operations.undo(opened, operation, policy, session.request(policy=policy))
