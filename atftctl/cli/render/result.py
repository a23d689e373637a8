"""A result and an error: as people read them, and as JSON."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from atftctl.cli.render import plan as render_plan
from atftctl.cli.render.console import Tone, emit_raw, say
from atftctl.domain.plan import Plan
from atftctl.domain.result import Part, Result
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr

SHORTEST_S = 0.0005  # parts that took less are not shown
ABORTED = "aborted: "


def plain(result: Result) -> None:
    """The plan for a dry run; else the headline, its lines, the time that each part took, the contacts."""
    if result.plan and result.data.get("dry_run"):
        render_plan.show(result.plan, tuple(result.data.get("diff", ())), whole=True)
        say(tr("dry run: nothing was changed"), "quiet")
        return
    say(result.headline, tone_of(result.exit_code))
    for line in result.lines:
        indented(line)
    timeline(result.parts, result.plan if result.exit_code is Exit.DONE else None)
    contacts(result.contacts)


def indented(line: str, stream: TextIO | None = None) -> None:
    """A line below a headline. Its own indent stays, which wrapping would lose: it may be YAML to paste."""
    indent = len(line) - len(line.lstrip(" "))
    text = line[indent:] if indent else line  # a part of a message is not translatable any more
    say(text, lead=" " * (2 + indent), hang=4 + indent, stream=stream)


def tone_of(code: Exit) -> Tone:
    """The colour of a headline."""
    if code is Exit.DONE:
        return "good"
    return "warn" if code is Exit.INCONCLUSIVE else "bad"


def verbatim(result: Result) -> None:
    """The lines alone, as they are: for another program."""
    for line in result.lines:
        emit_raw(f"{line}\n")


def timeline(parts: Sequence[Part], plan: Plan | None = None) -> None:
    """How long it took: in all, and each part; beside the target of the runbook, where the plan has result."""
    slow = [part for part in parts if part.seconds >= SHORTEST_S]
    if not slow:
        return
    total = sum(part.seconds for part in parts)
    each = joined(", ", [tr("{part} {seconds:.2f}", part=part.name, seconds=part.seconds) for part in slow])
    text = tr("took {total:.2f} s ({each})", total=total, each=each)
    if plan and plan.target_minutes:
        target = tr("within the target of {minutes} min", minutes=plan.target_minutes)
        if total > plan.target_minutes * 60:
            target = tr("OVER the target of {minutes} min", minutes=plan.target_minutes)
        text = tr("took {total:.2f} s, {target} ({each})", total=total, target=target, each=each)
    say(text, "quiet", lead="  ", hang=4)


def contacts(lines: Iterable[str]) -> None:
    """Who can help."""
    for line in lines:
        say(tr("contact: {contact}", contact=line), lead="  ", hang=4)


def error(message: str, state: str, hint: str, people: Iterable[str] = (), lines: Iterable[str] = ()) -> None:
    """What happened, what is true now, what to do next; to standard error."""
    aborted = message.startswith(ABORTED)
    say(message if aborted else tr("error: {message}", message=message), "bad", hang=2, stream=sys.stderr)
    for line in lines:
        indented(line, stream=sys.stderr)
    below = [
        state and tr("now: {state}", state=state),
        hint and tr("next: {hint}", hint=hint),
        *(tr("contact: {contact}", contact=contact) for contact in people),
    ]
    for line in below:
        if line:
            say(line, lead="  ", hang=4, stream=sys.stderr)


def data(result: Result) -> dict[str, object]:
    """What JSON carries of a result."""
    fields: dict[str, object] = {"headline": result.headline, **result.data}
    if result.plan:
        fields["plan"] = {
            "command": result.plan.command,
            "title": result.plan.title,
            "steps": [{"kind": type(step).__name__, "text": step.describe()} for step in result.plan.steps],
            "changes": [dataclasses.asdict(change) for change in result.plan.changes],
            "notes": list(result.plan.notes),
            "target_minutes": result.plan.target_minutes,
        }
    if result.lines:
        fields["lines"] = list(result.lines)
    if result.parts:
        fields["seconds"] = {part.name: round(part.seconds, 4) for part in result.parts}
    if result.contacts:
        fields["contacts"] = list(result.contacts)
    return fields
