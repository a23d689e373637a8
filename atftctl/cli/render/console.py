"""Results as people read them. Plain text; colour only on a terminal, and never with NO_COLOR."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atftctl.cli.terminal import emit, printable, say
from atftctl.domain.plan import ChangeFiles, Plan
from atftctl.domain.result import Part, Result
from atftctl.protocol import Exit

WORDS = {"pass": ("green", "pass"), "fail": ("red", "FAIL"), "inconclusive": ("yellow", "inconclusive")}


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


def error(what: str, stands: str, then: str, people: Iterable[str] = (), lines: Iterable[str] = ()) -> None:
    """What happened, what is true now, what to do next; to standard error."""
    say(f"error: {what}", "red", sys.stderr)
    for line in lines:
        emit(f"  {line}", stream=sys.stderr)
    for line in (stands and f"now: {stands}", then and f"next: {then}", *(f"contact: {one}" for one in people)):
        if line:
            emit(f"  {line}", stream=sys.stderr)


def checklist(one: Result) -> None:
    say(one.headline, {"pass": "green", "fail": "red"}.get(one.data["verdict"], "yellow"))
    width = max(len(check["name"]) for check in one.data["checks"])
    for check in one.data["checks"]:
        colour, word = WORDS[check["verdict"]]
        say(f"  {word.ljust(12)}  {check['name'].ljust(width)}  {check['detail']}", colour)
    for line in one.lines:
        say(f"  {line}")
    timeline(one.parts)
    contacts(one.contacts)


def findings(one: Result) -> None:
    """What there is, and, below what is missing, what that costs."""
    say(one.headline, "green" if one.exit_code is Exit.DONE else "red")
    width = max(len(row["name"]) for row in one.data["findings"])
    for row in one.data["findings"]:
        colour = "" if not row["costs"] else "red" if row["needed"] else "yellow"
        say(f"  {'ok' if not row['costs'] else '--'}  {row['name'].ljust(width)}  {row['words']}", colour)
        if row["costs"]:
            say(f"        {row['costs']}", "dim")
    contacts(one.contacts)


def effects(one: Result) -> None:
    """For each flag its verdict and whether it is on; below it what was measured with and without it."""
    colours = {"acts": "green", "does not act": "red"}
    say(one.headline, "red" if one.data["inert"] else "green")
    for line in one.data["effects"]:
        words = f"{line['with']}; without: {line['without']}" if line["without"] else line["with"]
        switch = "on" if line["on"] else "off"
        colour = colours.get(line["verdict"], "yellow") if line["on"] or line["verdict"] != "does not act" else "yellow"
        say(f"  {line['verdict'].ljust(14)}  {switch.ljust(3)}  {line['flag']}", colour)
        say(f"      {words}", "dim")
    timeline(one.parts)
    contacts(one.contacts)


def status(one: Result) -> None:
    say(one.headline, "bold")
    for line in one.lines:
        say(f"  ! {line}", "yellow")
    features: Mapping[str, Mapping[str, str]] = one.data["features"]
    width = max((len(name) for name in features), default=0)
    for name, feature in features.items():
        word = feature["state"]
        colour = {"on": "green", "off": "dim"}.get(word, "yellow")
        say(f"  {name.ljust(width)}  {word.ljust(8)}  {feature['title']}", colour)
    data = one.data
    latest, good = data["latest_snapshot"] or "none", data["last_good"] or "none"
    say(f"  snapshots: {data['snapshots']}, latest {latest}, last verified-good {good}")
    last = data["last_operation"]
    if last:
        say(f"  last operation: {last['operation']} {last['command']}: {last['title']} ({last['outcome']})")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns; on a terminal by rich, that folds what is too wide, else tab by tab for a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(map(printable, row)) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="" if os.environ.get("NO_COLOR") else "dim")
    for name in head:
        grid.add_column(name, overflow="fold", no_wrap=name in ("operation", "snapshot"))
    for row in rows:
        grid.add_row(*map(printable, row))
    Console(highlight=False, markup=False, no_color=bool(os.environ.get("NO_COLOR")), style="").print(grid)


def runbook(one: Result) -> None:
    for line in one.lines:
        say(f"  ! {line}", "yellow")
    say(one.headline, "bold")
    for name, symptom in one.data["symptoms"].items():
        settings = ", ".join(f"{key}: {str(value).lower()}" for key, value in symptom["settings"].items())
        way = f"{symptom['minutes']} min, resume from {symptom['resume']}"
        say(f"  {name} — {symptom['title']} ({symptom['cause']}), {way}")
        say(f"      {settings}", "dim")
    for name, phases in one.data["plans"].items():
        say(f"  plan {name}")
        for number, phase in enumerate(phases, 1):
            settings = ", ".join(f"{key}: {str(value).lower()}" for key, value in phase["settings"].items())
            say(f"    {number}. {phase['title']}: {settings}")
    contacts(one.data["contacts"])


def data(one: Result) -> dict[str, Any]:
    """What JSON carries of a result."""
    found: dict[str, Any] = {"headline": one.headline, **one.data}
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
