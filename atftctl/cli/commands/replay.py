"""`atftctl replay`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Files = Annotated[list[Path], typer.Argument(metavar="METRICS...", help="Files with the metrics of past runs.")]
FaultAt = Annotated[
    int | None,
    typer.Option(
        "--fault-at",
        metavar="STEP",
        min=0,
        show_default=False,
        help="A fault begins at this step in each run: earlier alarms are false, later ones have a delay.",
    ),
]

Tune = Annotated[bool, typer.Option("--tune", help="Propose thresholds for the runbook by these runs.")]


@command(
    "replay",
    examples=(
        "atftctl replay logs/metrics.csv",
        "atftctl replay past/*.csv --fault-at 500",
        "atftctl replay past/*.csv --tune",
    ),
)
def replay(session: Session, metrics: Files, fault_at: FaultAt = None, tune: Tune = False) -> "Result":
    """Show what the detectors would have said on past runs.

    Feeds each row to the detectors of diagnose; shows for each how often it was wrong, with the upper 95 % bound of
    its rate, and how late it was; the last line is what watch --auto would have done. What runs of this service have
    shown is recorded: with enough of it, watch --auto may start. Changes nothing else. --tune tries other thresholds
    and prints the lines of the runbook with those that are enough.
    """
    from atftctl.cli.render import replay as render
    from atftctl.operations.monitoring import replay as operation

    if tune:
        from atftctl.cli.render import tuning
        from atftctl.operations.monitoring import tune as tuner

        session.render = tuning.proposals
        return tuner.tune(session.open(look=True), metrics, fault_at, session.reporter)

    session.render = render.replay
    return operation.replay(session.open(look=True), metrics, fault_at, session.reporter)
