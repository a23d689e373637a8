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
from atftctl.host.process.command import Done
from atftctl.host.process.rights import ROUTE, passes_route, user_of
from atftctl.host.process.together import run_together
from atftctl.host.self_copy import relay
from atftctl.operations.alerting.outbox import sender_environment
from atftctl.protocol.messages import from_record, tr

COMMAND = "__send"  # how the process is called; not for people
NOT_STARTED = 127
NOT_PASSED = tr(
    "root passes a variable on to the owner of the project only if its name begins with {prefix}", prefix=ROUTE
)
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
    env = sender_environment(root, [message.variable for message in messages])
    ended = run_together(relay.command((COMMAND,)), inputs, cwd=root, env=env, limit_s=limit_s)
    kept_back = [not passes_route(message.variable, user_of(root)) for message in messages]
    return [
        Outcome(NOT_PASSED, final=True) if kept else _outcome(done, limit_s)
        for done, kept in zip(ended, kept_back, strict=True)
    ]


def _outcome(done: Done, limit_s: float) -> Outcome:
    if done.code is None:
        return Outcome(tr("no answer within {limit_s:g} s", limit_s=limit_s))
    if done.code == NOT_STARTED:
        return Outcome(done.output)
    try:
        answer = json.loads(done.output.strip().splitlines()[-1])
        return Outcome(from_record(answer["problem"]), bool(answer["final"]))
    except (ValueError, KeyError, TypeError, IndexError):
        return Outcome(tr("the process that sends it ended without an answer"))
