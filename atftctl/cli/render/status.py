"""The state of the service, and the runbook."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.cli.render.result import contacts
from atftctl.cli.terminal import say
from atftctl.domain.result import Result


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
