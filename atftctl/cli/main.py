"""The root of the commands. Each one is imported and built when it is called; everything heavy when it runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from atftctl.cli.lazy_commands import LazyCommands

app = typer.Typer(
    name="atftctl",
    cls=LazyCommands,
    help="Take the ATFT-GAT-FAN training service back to a known-good state, prove it, and bring improvements back.",
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


def main() -> None:
    """The `atftctl` command."""
    if sys.argv[1:2] == ["__complete"]:
        from atftctl.cli.completion import main as complete

        complete(sys.argv[2:])
        return
    from atftctl.cli.arguments import in_order
    from atftctl.host.process.interrupts import as_interrupt
    from atftctl.host.self_copy.relay import settle_in

    for stream in (sys.stdout, sys.stderr):  # a locale that knows no Japanese must not stop a rescue
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    settle_in()
    as_interrupt()
    sys.exit(run(in_order(sys.argv[1:])))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. A usage error is shown as every other error, as JSON where asked for."""
    try:
        return int(app(args=list(arguments), prog_name="atftctl", standalone_mode=False) or 0)
    except Exception as error:  # noqa: BLE001 - whatever is no usage error is raised again
        from atftctl.cli.error_boundary import usage

        return usage(error, arguments)
