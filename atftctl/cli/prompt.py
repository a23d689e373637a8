"""The question before a change."""

from __future__ import annotations

import sys

from atftctl.cli.render import plan as render_plan
from atftctl.cli.render.console import ask, say
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.protocol.messages import tr

YES = ("y", "yes", "はい")


def confirm(plan: Plan, diff: tuple[str, ...], *, whole_diff: bool) -> bool:
    """Show the plan and ask. Raises Refused where there is no terminal to ask, and for any answer but yes."""
    if not sys.stdin.isatty():
        raise Refused(
            tr("there is no terminal to ask for confirmation"),
            hint=tr("review the plan with --dry-run, then run this command again with --yes"),
        )
    render_plan.show(plan, diff, whole=whole_diff, question=True)
    say(render_plan.summary(plan), "strong")
    try:
        answer = ask(tr("Continue? [y/N] "))
    except EOFError:
        answer = ""
    if answer.strip().lower() not in YES:
        raise Refused(tr("aborted: declined at the prompt"))
    return True
