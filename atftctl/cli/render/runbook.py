"""The runbook as people read it."""

from __future__ import annotations

from atftctl.cli.render.result import contacts
from atftctl.cli.terminal import say
from atftctl.domain.result import Result


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
