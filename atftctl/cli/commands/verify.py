"""`atftctl verify`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Effects = Annotated[
    bool, typer.Option("--effects", help="Check instead that each improvement that is on has an effect.")
]


@command("verify", examples=("atftctl verify", "atftctl verify --effects"))
def verify(session: Session, effects: Effects = False) -> "Result":
    """Check that the service is back at its normal level.

    Checks model, data, training, RankIC, errors, memory, service and training time against the baseline. Takes about
    half a minute. If all checks pass, a snapshot of exactly these files is marked as verified-good.
    """
    from atftctl.cli.render import checks as render

    opened = session.open()
    if effects:
        from atftctl.operations.verification import flag_effects

        session.command, session.render = "verify --effects", render.effects
        return flag_effects.effects(opened, session.request())
    from atftctl.operations.verification import checklist

    session.render = render.checklist
    return checklist.verify(opened, session.request())
