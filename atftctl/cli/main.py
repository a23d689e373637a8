"""The root of the commands. Each one is imported and built when it is called; everything heavy when it runs."""

import io
import sys
from typing import Annotated

import typer

from atftctl.cli.late import LateCommands

app = typer.Typer(
    name="atftctl",
    cls=LateCommands,
    help="Take the ATFT-GAT-FAN training service back to a known-good state, prove it, bring improvements back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from atftctl import __version__

        typer.echo(f"atftctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    del version


def main() -> None:
    """The `atftctl` command."""
    from atftctl.host.interrupts import as_interrupt
    from atftctl.host.relay import settle_in

    for stream in (sys.stdout, sys.stderr):  # a locale that knows no Japanese must not stop a rescue
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    settle_in()
    as_interrupt()
    if "--json" in sys.argv:
        boundary_json()
    app()


def boundary_json() -> None:
    """Wrong options too end in the envelope, where JSON was asked for."""
    from atftctl.cli.boundary import usage_as_json

    sys.exit(usage_as_json(app))
