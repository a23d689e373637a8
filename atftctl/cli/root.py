"""The root command: its options, and the group that builds each command when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from atftctl.cli.lazy_commands import LazyCommands

app = typer.Typer(
    name="atftctl",
    cls=LazyCommands,
    help="Take a machine-learning training service back to a known-good state, prove it, and bring improvements back.",
    epilog="'atftctl help COMMAND' explains one command, with examples.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from atftctl import __version__
        from atftctl.cli.render.console import emit

        emit(f"atftctl {__version__}")
        raise typer.Exit


@app.callback(epilog=app.info.epilog)
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version
