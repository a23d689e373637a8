"""`atftctl __timer OPERATION`: the process that undoes an unconfirmed change. atftctl starts it; people do not.

Its output is its log: a line each, with the time.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import datetime

from atftctl.cli.render.console import emit_raw
from atftctl.domain.result import Silent

TRIES, PAUSE_S = 10, 5.0  # after a bug of ours


class LogReporter(Silent):
    """Writes the progress of the undo to the log."""

    def part(self, name: str) -> None:
        write(f"part: {name}")

    def note(self, text: str) -> None:
        write(text)


def write(text: str) -> None:
    """Write a line to the log. Nothing is raised: a full disk must not stop the undo."""
    stamp = datetime.now().astimezone().isoformat(timespec="milliseconds")
    try:
        emit_raw(f"{stamp} {text}\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return


def main(arguments: Sequence[str]) -> int:
    """Be the timer of the operation that is named; the exit code."""
    for number in (signal.SIGHUP, signal.SIGINT):  # a terminal that is closed, and its Ctrl-C
        signal.signal(number, signal.SIG_IGN)
    from atftctl.operations.confirm_timer import Timer

    timer = Timer(arguments[0], LogReporter(), write)
    for _ in range(TRIES):
        try:
            timer.serve()
        except Exception:  # a bug of ours: the change must be undone all the same
            if not timer.ready:
                raise
            write(traceback.format_exc())
            time.sleep(PAUSE_S)
        else:
            return 0
    return 1
