"""Show and check the runbook."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Check = Annotated[bool, typer.Option("--check", help="Only compare; exit code 1 if a page is out of date.")]


@command("runbook show", examples=("atftctl runbook show", "atftctl runbook show --lang ja"))
def show(session: Session) -> "Result":
    """Show the runbook: symptoms, settings, phases, contacts."""
    from atftctl.cli.render import runbook as render
    from atftctl.operations.runbook import show as operation

    session.render = render.runbook
    return operation.runbook(session.open())


@command("runbook lint", examples=("atftctl runbook lint",))
def lint(session: Session) -> "Result":
    """Check the runbook for errors.

    Shows for each error the file, line and key, and the nearest valid name. Exit code 1 if there is an error.
    """
    from atftctl.operations.runbook import show as operation

    return operation.lint(session.open(look=True))


@command("runbook render", "dry_run", examples=("atftctl runbook render", "atftctl runbook render --check"))
def render(session: Session, check: Check = False) -> "Result":
    """Write the runbook as Markdown pages in English and Japanese.

    The pages are written next to the runbook.
    """
    from atftctl.operations.runbook import pages

    return pages.render(session.open(), session.request(), check=check)
