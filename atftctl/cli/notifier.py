"""The processes that tell people of incidents. atftctl starts them; people do not.

`atftctl __notify` finds out what is to be told in the project that is its working folder. `atftctl __send` sends one
message, which comes as JSON on its standard input; it answers with JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from atftctl.cli.render.console import emit_raw
from atftctl.cli.render.translation import in_language


def notify(arguments: Sequence[str]) -> int:
    """Tell what there is to tell; the exit code."""
    del arguments
    for number in (signal.SIGHUP, signal.SIGINT):  # a terminal that is closed, and its Ctrl-C
        signal.signal(number, signal.SIG_IGN)
    from atftctl.operations.alerting.notifier import serve

    return serve(Path.cwd(), in_language)


def send(arguments: Sequence[str]) -> int:
    """Send one message; the exit code is 0 also where that failed."""
    del arguments
    from atftctl.operations.alerting.send import send as send_message

    emit_raw(json.dumps(send_message(json.loads(sys.stdin.buffer.read()))) + "\n")
    return 0
