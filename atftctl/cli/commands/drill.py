"""`atftctl drill`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Symptom = Annotated[
    str, typer.Option("--symptom", metavar="NAME", help="Symptom to rehearse (default: the runbook's first drill).")
]
Every = Annotated[bool, typer.Option("--all", help="Rehearse every symptom that has a drill, one after the other.")]
Data = Annotated[
    str, typer.Option("--data", metavar="FILE", help="Parquet file with real prices (default: synthetic).")
]
Keep = Annotated[
    bool, typer.Option("--keep", help="Keep the scratch copies. That of a drill that fails is kept anyway.")
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write one page of the whole rehearsal, with the page of each incident: HTML (.html) or Markdown (.md).",
    ),
]


@command(
    "drill",
    examples=(
        "atftctl drill",
        "atftctl drill --symptom divergence --keep",
        "atftctl drill --all --report drill.html",
    ),
)
def drill(
    session: Session,
    symptom: Symptom = "",
    every: Every = False,
    data: Data = "",
    keep: Keep = False,
    report: Report = None,
) -> "Result":
    """Rehearse an incident in a scratch copy of the project.

    Trains a healthy model, makes a real fault, as the runbook describes it, and lets `watch --auto` see it and roll it
    back; verifies the service, and turns the improvements of phase 1 on again. A drill takes a few minutes on two
    cores. The exit code is 0 if the service was restored, 1 if it was not, and 6 if that could not be told. The
    project itself is not changed.
    """
    from atftctl.cli.render import drill as render
    from atftctl.cli.render import drill_page
    from atftctl.domain.errors import UsageError
    from atftctl.operations.drill import rehearsal as operation
    from atftctl.protocol.messages import tr

    if every and symptom:
        raise UsageError(tr("--symptom and --all can't be used together"))
    session.render = render.drills
    if report:
        drill_page.check(report)
    project = session.open()
    result = operation.run(project, symptom, data, session.request().report, keep=keep, every=every)
    if report:
        drill_page.write(report, result, project.runbook.service, session.language)
    return result
