"""`atftctl reenable`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli import options as o
from atftctl.cli.command import command
from atftctl.cli.session import Session
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.result import Result

WHAT = "What to do (choose one)"
GATE = "Gates"


@dataclass(frozen=True)
class ReenableArguments:
    """What the command line says about the phases."""

    phase: Annotated[
        int | None,
        typer.Option(
            "--phase",
            metavar="N",
            min=1,
            show_default=False,
            help="Turn phase N on and judge it by its gate; the phase before it must have passed.",
            rich_help_panel=WHAT,
        ),
    ] = None
    next: Annotated[
        bool,
        typer.Option("--next", help="Go on with the open phase, else begin the next one.", rich_help_panel=WHAT),
    ] = False
    status: Annotated[
        bool, typer.Option("--status", help="Show the phases, their gates, and where they stand.", rich_help_panel=WHAT)
    ] = False
    halt: Annotated[
        bool,
        typer.Option(
            "--halt",
            help="Stop: no phase begins, and the one that is watched is held. `atftctl resume` lifts it.",
            rich_help_panel=WHAT,
        ),
    ] = False
    plan: Annotated[
        str,
        typer.Option(
            "--plan",
            metavar="NAME",
            help="Plan of the runbook (default: the one that was begun, else the plan for after an incident).",
        ),
    ] = ""
    accept_inconclusive: Annotated[
        str | None,
        typer.Option(
            "--accept-inconclusive",
            metavar="REASON",
            show_default=False,
            help="Let the phase that is held pass; the reason stays in the history.",
            rich_help_panel=GATE,
        ),
    ] = None
    force: Annotated[
        str,
        typer.Option(
            "--force",
            metavar="REASON",
            help="Begin although the phase before did not pass, this one failed, or the plan was edited.",
            rich_help_panel=GATE,
        ),
    ] = ""
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Change and restart, and judge the gate later.", rich_help_panel=GATE),
    ] = False
    confirm_within: o.NeverConfirmed = ""


@command(
    "reenable",
    *o.CHANGE_FILES,
    *o.RESTART,
    examples=(
        "atftctl reenable --next",
        "atftctl reenable --phase 2 --plan deployment --dry-run",
        "atftctl reenable --accept-inconclusive '40 dates are missing; the lead accepts that'",
    ),
)
def reenable(session: Session, arguments: ReenableArguments) -> "Result":
    """Turn improvements on again, one phase at a time.

    Each phase has a gate: take a snapshot, change the settings, restart the trainer, watch it, and judge it by the gate
    that the runbook names. Pass: the next phase may follow. Fail: this phase alone is undone, its config quarantined.
    Inconclusive: the phase is held, and the message says what is missing.
    """
    o.refuse_confirm_within(arguments.confirm_within, tr("the gate of each phase judges by itself"))
    refuse(arguments)
    project = session.open(look=arguments.status)
    if arguments.status:
        from atftctl.cli.render import reenable as render
        from atftctl.operations.reenable import standings

        session.render = render.status
        return standings.status(project, arguments.plan)
    if arguments.halt:
        from atftctl.operations.reenable import control

        return control.halt(project, session.request())
    if arguments.accept_inconclusive is not None:
        from atftctl.operations.reenable import control

        return control.accept(project, arguments.phase or 0, arguments.accept_inconclusive, session.request())
    from atftctl.operations.reenable import phase
    from atftctl.operations.reenable.order import Asked

    asked = Asked(
        arguments.phase or 0, arguments.plan, arguments.force, wait=not arguments.no_wait, start=bool(arguments.phase)
    )
    return phase.phase(project, asked, session.restart_policy(), session.request())


def refuse(arguments: ReenableArguments) -> None:
    """Raises UsageError for options that do not go together."""
    from atftctl.domain.errors import UsageError

    accept = arguments.accept_inconclusive is not None
    verbs = {
        "--phase": bool(arguments.phase) and not accept,
        "--next": arguments.next,
        "--status": arguments.status,
        "--halt": arguments.halt,
        "--accept-inconclusive": accept,
    }
    named = [name for name, given in verbs.items() if given]
    message = ""
    if not named:
        message = tr("choose one of {options}", options=", ".join(verbs))
    elif len(named) > 1:
        message = tr("{options} can't be used together", options=", ".join(named))
    elif (arguments.force or arguments.no_wait) and named[0] not in ("--phase", "--next"):
        message = tr("--force and --no-wait need --phase or --next")
    elif arguments.force and not arguments.force.strip():
        message = tr("--force needs a reason")
    if message:
        raise UsageError(message, state=tr("nothing was changed"), hint="atftctl reenable --status")
