"""`atftctl metrics`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Tail = Annotated[
    int, typer.Option("--tail", metavar="N", min=0, help="Show the newest N rows instead.", show_default=False)
]
Summary = Annotated[bool, typer.Option("--summary", help="Show the figures of every column for each branch instead.")]
Since = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="Only rows since then: 90min, 2h, 1d, 10:31 or 2026-11-30T10:00."),
]
Generation = Annotated[
    str,
    typer.Option(
        "--generation",
        metavar="N|last|all",
        help="Only the rows of this branch, of the newest one, or of all branches.",
    ),
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.svg", help="Also write the curves to this file, as SVG.")
]


@command("metrics", examples=("atftctl metrics", "atftctl metrics --tail 20", "atftctl metrics --plot metrics.svg"))
def metrics(
    session: Session,
    tail: Tail = 0,
    summary: Summary = False,
    since: Since = "",
    generation: Generation = "",
    plot: Plot = None,
) -> "Result":
    """Show training metrics: curves, branches, discarded steps.

    A trainer that resumes from an earlier step makes a branch: the rows that were written after this step are no part
    of the model that is trained now. Without --generation, only the rows that this model descends from are shown.
    """
    from atftctl.cli.render import metrics as render
    from atftctl.cli.render import svg_file
    from atftctl.domain.errors import UsageError
    from atftctl.operations.report import metrics as operation
    from atftctl.protocol.messages import tr

    if plot:
        svg_file.check(plot)
        if tail or summary:
            raise UsageError(tr("--plot draws curves: it can't be used with --tail or --summary"))
    session.render = render.metrics
    result = operation.metrics(session.open(look=True), operation.Query(tail, summary, since, generation))
    return render.with_plot(result, plot) if plot else result
