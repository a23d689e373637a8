"""Asking, and telling what goes on meanwhile."""

from __future__ import annotations

import sys
from collections import Counter

from atftctl.cli.render import result as render_result
from atftctl.cli.terminal import printable
from atftctl.domain.errors import Refused
from atftctl.domain.plan import Plan
from atftctl.domain.steps import ChangePackages, RemoveSnapshot, RunStage
from atftctl.domain.text import listed


def confirm(plan: Plan, diff: tuple[str, ...]) -> bool:
    """Show the plan and ask. Raises Refused where there is no terminal to ask."""
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask, and no --yes", hint="look with --dry-run, then run it with --yes")
    render_result.plan(plan, diff)
    try:
        answer = input(f"{printable(_summary(plan))}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes", "はい")


def _summary(plan: Plan) -> str:
    """The plan in one line, for the question under it."""
    kinds = Counter(type(step) for step in plan.steps)
    words = [f"stop pid {step.pid}" for step in plan.stops]
    if plan.targets:
        words.append(f"change {listed([target.path for target in plan.targets], 3)}")
    if plan.code:
        words.append(f"move {plan.code.branch.removeprefix('refs/heads/')}")
    if kinds[ChangePackages]:
        words.append("change the environment's packages")
    if kinds[RunStage]:
        words.append(f"go through up to {kinds[RunStage]} stages, each with a restart")
    if kinds[RemoveSnapshot]:
        words.append(f"remove {kinds[RemoveSnapshot]} snapshots for good")
    if plan.start:
        words.append(f"start the trainer from {plan.start.resume}")
    if plan.reload:
        words.append("have the running trainer take it up")
    text = ", ".join(words) or "recover"
    return text[0].upper() + text[1:]
