"""`atftctl reenable`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Phase = Annotated[int, typer.Option("--phase", metavar="N", help="Phase to turn on; the phase before it must be on.")]
PlanName = Annotated[
    str,
    typer.Option(
        "--plan", metavar="NAME", help="Plan of the runbook to follow (default: the plan for after an incident)."
    ),
]


@command(
    "reenable",
    *o.CHANGE_FILES,
    *o.RESTART,
    examples=("atftctl reenable --phase 1", "atftctl reenable --phase 2 --plan deployment --dry-run"),
)
def reenable(session: Session, phase: Phase, plan: PlanName = "", confirm_within: o.NeverConfirmed = "") -> "Result":
    """Turn improvements on again, one phase at a time.

    Each phase needs the one before it. `atftctl runbook show` lists the phases.
    """
    from atftctl.operations import reenable as operation

    o.refuse_confirm_within(confirm_within, tr("each phase is judged by verify"))

    return operation.phase(session.open(), phase, plan, session.restart_policy(), session.request())
