"""Send messages on routes. Each is sent by a process of its own, which alone imports apprise: one that hangs is killed.

The address of a route is never among the arguments of a process, in a file, or in a message: a process gets the name of
the environment variable, and reads its own environment.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from atftctl.domain.record import record
from atftctl.domain.route import Severity
from atftctl.host.process.together import run_together
from atftctl.host.self_copy import private_copy, relay
from atftctl.protocol.messages import tr

COMMAND = "__send"  # how the process is called; not for people
LIMIT_S = 30.0  # seconds that a message may take


@record
class Outgoing:
    """One message. `variable`: the environment variable that holds the address. `body`: its lines, joined by
    newlines."""

    variable: str
    severity: Severity
    subject: str
    body: str


@record
class Outcome:
    """How it ended. `problem`: why the message was not sent; "" where it was. `final`: it would fail the next time,
    too."""

    problem: str = ""
    final: bool = False


def deliver(root: Path, messages: Sequence[Outgoing], limit_s: float = LIMIT_S) -> list[Outcome]:
    """Send these messages at the same time; how each ended, in order. Raises nothing."""
    inputs = [json.dumps(vars(message), ensure_ascii=False).encode("utf-8", "replace") for message in messages]
    env = relay.environment(private_copy.package().parent)
    ended = run_together(relay.command((COMMAND,)), inputs, cwd=root, env=env, limit_s=limit_s)
    return [
        Outcome(tr("no answer within {limit_s:g} s", limit_s=limit_s)) if done.code is None else _outcome(done.output)
        for done in ended
    ]


def _outcome(output: str) -> Outcome:
    try:
        answer = json.loads(output.strip().splitlines()[-1])
        return Outcome(str(answer["problem"]), bool(answer["final"]))
    except (ValueError, KeyError, TypeError, IndexError):
        return Outcome(tr("the process that sends it ended without an answer"))
