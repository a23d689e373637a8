"""The root of the commands. Each one is imported and built when it is called; everything heavy when it runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence

from atftctl.cli.root import app


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
    if process := _hidden(sys.argv[1:2]):
        sys.exit(process(sys.argv[2:]))
    sys.exit(run(in_order(sys.argv[1:])))


def _hidden(name: Sequence[str]) -> Callable[[Sequence[str]], int] | None:
    """The process that atftctl has started under this name; None for a command of people."""
    if name == ["__timer"]:
        from atftctl.cli.timer import main as timer

        return timer
    if name in (["__notify"], ["__send"]):
        from atftctl.cli import notifier

        return notifier.notify if name == ["__notify"] else notifier.send
    return None


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. A usage error is shown as every other error, as JSON where asked for."""
    try:
        return int(app(args=list(arguments), prog_name="atftctl", standalone_mode=False) or 0)
    except Exception as error:  # noqa: BLE001 - whatever is no usage error is raised again
        from atftctl.cli.error_boundary import usage

        return usage(error, arguments)
