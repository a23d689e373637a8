"""Record and choose the normal level that verify compares with."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Force = Annotated[bool, typer.Option("--force", help="Record although improvements are on.")]
NewName = Annotated[
    str,
    typer.Option("--name", metavar="NAME", help="Name of the baseline (default: the one in use).", show_default=False),
]
Shown = Annotated[
    str, typer.Argument(metavar="[BASELINE]", help="Name of a baseline (default: the one in use).", show_default=False)
]
Name = Annotated[str, typer.Argument(metavar="BASELINE", help="Name of a baseline.")]
ForceRemoval = Annotated[bool, typer.Option("--force", help="Remove the baseline although it is in use.")]


@command("baseline record", examples=("atftctl baseline record", "atftctl baseline record --name tokyo-2026"))
def record(session: Session, name: NewName = "", force: Force = False) -> "Result":
    """Measure and record the normal level that verify compares with.

    Run it while the service is healthy and all improvements are off. Refused while improvements are on, unless --force
    is given. Replaces the baseline of that name.
    """
    from atftctl.operations.verification import baseline

    return baseline.record_baseline(session.open(), session.request(), name=name, force=force)


@command("baseline list", examples=("atftctl baseline list",))
def list_(session: Session) -> "Result":
    """List the recorded baselines.

    The one in use is the one that verify compares with.
    """
    from atftctl.cli.render import baselines as render
    from atftctl.operations.verification import baselines

    session.render = render.table
    return baselines.list_baselines(session.open(look=True))


@command("baseline show", examples=("atftctl baseline show", "atftctl baseline show tokyo-2026"))
def show(session: Session, name: Shown = "") -> "Result":
    """Show one baseline.

    Shows what was measured, and on which data, labels and evaluation code.
    """
    from atftctl.cli.render import baselines as render
    from atftctl.operations.verification import baselines

    session.render = render.details
    return baselines.show(session.open(look=True), name)


@command("baseline set", *o.CHANGE, examples=("atftctl baseline set tokyo-2026",))
def set_(session: Session, name: Name) -> "Result":
    """Choose the baseline that verify compares with."""
    from atftctl.operations.verification import baselines

    return baselines.choose(session.open(), name, session.request())


@command("baseline rm", *o.CHANGE, examples=("atftctl baseline rm tokyo-2025",))
def remove(session: Session, name: Name, force: ForceRemoval = False) -> "Result":
    """Remove a baseline.

    Refused for the baseline in use, unless --force is given. Cannot be undone.
    """
    from atftctl.operations.verification import baselines

    return baselines.remove(session.open(), name, session.request(), force=force)
