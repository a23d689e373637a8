"""What a later look at the incident needs, gathered before anything changes. Small tails, so that it costs no time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from atftctl import protocol
from atftctl.domain.facts import Process
from atftctl.host.errors import HostError
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.logs import tail
from atftctl.host.files.reading import read_bytes
from atftctl.state.layout import Layout

LOG_LINES = 400
METRIC_LINES = 1000
CONFIG_BYTES = 1 << 20  # of a config, whatever stands there


def collect(layout: Layout, configs: Iterable[str], process: Process) -> dict[str, bytes]:
    """File name to content. What can't be read is left out: evidence must not stand in the way of a rescue."""
    found: dict[str, bytes] = {
        "process.json": json.dumps(dataclasses.asdict(process), ensure_ascii=False, indent=1, default=str).encode()
    }
    for name, lines in (
        (protocol.LOG, LOG_LINES),
        (protocol.OUTPUT, LOG_LINES),
        (protocol.EVENTS, LOG_LINES),
        (protocol.METRICS, METRIC_LINES),
    ):
        if text := tail(layout.root, name, lines):
            found[name.replace("/", "__")] = ("\n".join(text) + "\n").encode()
    for name in configs:
        try:
            found[name.replace("/", "__")] = read_bytes(resolve_inside(layout.root, name, layout.outside), CONFIG_BYTES)
        except (OSError, HostError):
            continue
    return found
