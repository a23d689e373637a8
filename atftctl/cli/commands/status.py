"""`atftctl status`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result


MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        metavar="FILE",
        help="Also write the state as Prometheus text, for the folder of node exporter's textfile collector; FILE ends "
        "in .prom.",
        show_default=False,
    ),
]


@command(
    "status",
    examples=(
        "atftctl status",
        "atftctl status --json",
        "atftctl status --metrics-file /var/lib/prometheus/node-exporter/atftctl.prom",
    ),
)
def status(session: Session, metrics_file: MetricsFile = None) -> "Result":
    """Show the state of the service and what is wrong.

    Lists every problem with the command that helps, the improvements that are on and off, the trainer, the snapshots
    and the last operation. Works with a broken runbook. Changes nothing.
    """
    from atftctl.cli.render import status as render
    from atftctl.operations.report import status as operation

    session.render = render.status
    if metrics_file is None:
        return operation.status(session.open(look=True))
    from atftctl.operations.report import metrics_file as file

    file.check(metrics_file)
    project = session.open(look=True)
    result = operation.status(project)
    file.write(metrics_file, result, project.layout.root)
    return result
