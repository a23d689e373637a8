"""`atftctl doctor`."""

from typing import TYPE_CHECKING

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result


@command("doctor", examples=("atftctl doctor", "atftctl doctor --json > report.json"))
def doctor(session: Session) -> "Result":
    """Check this machine and project for missing parts.

    Shows for each missing part what does not work without it. Exit code 1 if a rollback needs a missing part. Changes
    nothing.
    """
    from atftctl.cli.render import checks as render
    from atftctl.operations.report import doctor as operation

    session.render = render.findings
    return operation.doctor(session.open(look=True))
