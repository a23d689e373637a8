"""`atftctl incident`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Operations = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OPERATION]...",
        help="Operation id, or the beginning of one; of several, one page is made (default: the newest rollback, undo, "
        "restore or change of settings).",
        show_default=False,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="Write the page to this file (-: to standard output).", show_default=False
    ),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        "--markdown",
        metavar="FILE",
        help="Write it as Markdown, for an issue tracker (-: to standard output).",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also replace a file that is no page of atftctl.")]


@command(
    "incident",
    examples=(
        "atftctl incident --html incident.html",
        "atftctl incident 20261130_101500 --markdown incident.md",
        "atftctl incident --html incident.html --lang ja",
    ),
)
def incident(
    session: Session,
    operation: Operations = None,
    html: Html = None,
    markdown: Markdown = None,
    force: Force = False,
) -> "Result":
    """Write the page of an incident: HTML or Markdown.

    Tells the whole story of an operation: what happened and when, every setting before and after, curves around it,
    the checks with their evidence, the cost, how to undo it, and who decided. The page is one file that loads nothing
    and has no scripts. Without --html and --markdown, a short text is shown. Changes nothing in the project.
    """
    from atftctl.cli.render import incident as render
    from atftctl.operations.report import incident as report

    targets = render.Targets(html, markdown, force, session.language)
    targets.check(json=session.json)
    session.render = (lambda result: render.to_stdout(result, targets)) if targets.to_stdout else render.incident
    result = report.incident(session.open(rescue=True), operation or ())
    return render.with_pages(result, targets)
