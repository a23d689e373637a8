"""The state of the service."""

from __future__ import annotations

from collections.abc import Mapping

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
