"""The options of `rollback` that say what is rolled back."""

from typing import Annotated

import typer

from atftctl.cli import options as o
from atftctl.domain.record import record

ROUTE, GIT = "What to roll back (choose one; default: --to last-good)", "Options of --git and --full"
Names = list[str] | None


@record
class RouteArguments:
    """What the command line says about the route. `names`: improvements, or commits."""

    names: Annotated[
        Names,
        typer.Argument(
            metavar="[NAME|COMMIT]...", help="Improvements for --feature, or commits for --git.", show_default=False
        ),
    ] = None
    symptom: Annotated[
        str,
        typer.Option(
            "--symptom",
            metavar="NAME",
            help="Apply the settings for a symptom, by its name, alias or title (list: atftctl runbook show).",
            rich_help_panel=ROUTE,
        ),
    ] = ""
    immediate: Annotated[
        bool,
        typer.Option(
            "--immediate",
            help="Turn off all improvements; set the training settings back to their defaults.",
            rich_help_panel=ROUTE,
        ),
    ] = False
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="SNAPSHOT",
            help="Restore all files of this snapshot; last-good is the newest verified one.",
            rich_help_panel=ROUTE,
        ),
    ] = ""
    feature: Annotated[
        Names,
        typer.Option(
            "--feature",
            metavar="NAME",
            help="Turn off only these improvements (repeatable).",
            rich_help_panel=ROUTE,
            show_default=False,
        ),
    ] = None
    staged: Annotated[
        bool,
        typer.Option(
            "--staged",
            help="Roll back one stage after another until the trainer is healthy. Takes the symptom "
            "from --symptom, or from how the trainer died.",
            rich_help_panel=ROUTE,
        ),
    ] = False
    bisect: Annotated[
        bool,
        typer.Option(
            "--bisect",
            help="Find the improvements that cause the symptom, in short runs; changes nothing.",
            rich_help_panel=ROUTE,
        ),
    ] = False
    git: Annotated[
        bool,
        typer.Option(
            "--git",
            help="Revert commits: COMMIT..., or --since, or --grep; without any of these it lists candidates.",
            rich_help_panel=ROUTE,
        ),
    ] = False
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Remove the files of all improvements; restore code and settings.", rich_help_panel=ROUTE
        ),
    ] = False
    since: Annotated[
        str,
        typer.Option("--since", metavar="REF", help="With --git: all commits after this one.", rich_help_panel=GIT),
    ] = ""
    grep: Annotated[
        str,
        typer.Option("--grep", metavar="RE", help="With --git: commits whose subject matches.", rich_help_panel=GIT),
    ] = ""
    push: Annotated[
        bool,
        typer.Option("--push", help="With --git: push after verify has passed; never with force.", rich_help_panel=GIT),
    ] = False
    ref: Annotated[
        str, typer.Option("--ref", metavar="REF", help="With --full: commit to take files from.", rich_help_panel=GIT)
    ] = ""
    live: o.Live = False
    or_undo: o.OrUndo = False
    back: o.Back = None
    added: Annotated[
        Names,
        typer.Option(
            "--with",
            metavar="KEY=VALUE",
            help="Also change this setting (repeatable); it wins over what the rollback sets.",
            show_default=False,
        ),
    ] = None

    @property
    def extra(self) -> tuple[str, ...]:
        """The settings after --with."""
        return tuple(self.added or ())

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names after --feature, and those without an option."""
        return (*(self.feature or ()), *(self.names or ()))
