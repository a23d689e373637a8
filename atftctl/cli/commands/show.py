"""`atftctl show`."""

from typing import TYPE_CHECKING

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result


@command("show", examples=("atftctl show", "atftctl show 20261130_101500"))
def show(session: Session, operation: o.Operation = "") -> "Result":
    """Show one past operation in full.

    Shows who ran it and why, its steps, the diff of the files, the time that each part took, the result and where the
    evidence is.
    """
    from atftctl.cli.render import history as render
    from atftctl.operations.report import history as report

    session.render = render.operation
    return report.show(session.open(rescue=True), operation)
