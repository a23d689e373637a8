"""Checklists and findings."""

from __future__ import annotations

from atftctl.cli.render.result import contacts, timeline
from atftctl.cli.terminal import say
from atftctl.domain.result import Result
from atftctl.protocol import Exit

WORDS = {"pass": ("green", "pass"), "fail": ("red", "FAIL"), "inconclusive": ("yellow", "inconclusive")}


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
