"""A result, a plan, an error: as people read them, and as JSON."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence

from atftctl.cli.terminal import emit, say
from atftctl.domain.plan import Plan
from atftctl.domain.result import Part, Result
from atftctl.domain.steps import ChangeFiles
from atftctl.protocol import Exit


def result(one: Result) -> None:
    """The plan for a dry run; else the headline, its lines, the time that each part took, the contacts."""
    if one.plan and one.data.get("dry_run"):
        plan(one.plan, tuple(one.data.get("diff", ())))
        say("dry run: nothing was touched", "dim")
        return
    colour = {Exit.DONE: "green", Exit.INCONCLUSIVE: "yellow"}.get(one.exit_code, "red")
    say(one.headline, colour)
    for line in one.lines:
        say(f"  {line}")
    timeline(one.parts, one.plan if one.exit_code is Exit.DONE else None)
    contacts(one.contacts)


def verbatim(one: Result) -> None:
    """The lines alone, as they are."""
    for line in one.lines:
        sys.stdout.write(f"{line}\n")


def plan(one: Plan, diff: Sequence[str] = ()) -> None:
    say(f"{one.command}: {one.title}", "bold")
    for number, step in enumerate(one.steps, 1):
        say(f"  {number}. {step.describe()}")
        for change in one.changes if isinstance(step, ChangeFiles) else ():
            say(f"       {change.describe()}")
    for note in one.notes:
        say(f"  note: {note}", "yellow")
    coloured_diff(diff)


def coloured_diff(lines: Iterable[str]) -> None:
    for line in lines:
        emit(f"    {line.expandtabs()}", _diff_colour(line))


def _diff_colour(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "dim"
    return {"+": "green", "-": "red"}.get(line[:1], "dim")


def timeline(parts: Sequence[Part], one: Plan | None = None) -> None:
    slow = [part for part in parts if part.seconds >= 0.0005]
    if not slow:
        return
    total = sum(part.seconds for part in parts)
    words = ", ".join(f"{part.name} {part.seconds:.2f}" for part in slow)
    target = ""
    if one and one.target_minutes:
        within = "within" if total <= one.target_minutes * 60 else "OVER"
        target = f", {within} the target of {one.target_minutes} min"
    say(f"  took {total:.2f} s{target} ({words})", "dim")


def contacts(lines: Iterable[str]) -> None:
    for line in lines:
        say(f"  contact  {line}")


def error(message: str, state: str, hint: str, people: Iterable[str] = (), lines: Iterable[str] = ()) -> None:
    """What happened, what is true now, what to do next; to standard error."""
    say(f"error: {message}", "red", sys.stderr)
    for line in lines:
        emit(f"  {line}", stream=sys.stderr)
    for line in (state and f"now: {state}", hint and f"next: {hint}", *(f"contact: {one}" for one in people)):
        if line:
            emit(f"  {line}", stream=sys.stderr)


def data(one: Result) -> dict[str, object]:
    """What JSON carries of a result."""
    found: dict[str, object] = {"headline": one.headline, **one.data}
    if one.plan:
        found["plan"] = {
            "command": one.plan.command,
            "title": one.plan.title,
            "steps": [{"kind": type(step).__name__, "text": step.describe()} for step in one.plan.steps],
            "changes": [dataclasses.asdict(change) for change in one.plan.changes],
            "notes": list(one.plan.notes),
            "target_minutes": one.plan.target_minutes,
        }
    if one.lines:
        found["lines"] = list(one.lines)
    if one.parts:
        found["seconds"] = {part.name: round(part.seconds, 4) for part in one.parts}
    if one.contacts:
        found["contacts"] = list(one.contacts)
    return found
