"""Gather evidence for a later analysis of the incident, before anything changes: the last lines of logs, the configs
and the state of the process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from atftctl import protocol
from atftctl.domain.facts import Process
from atftctl.host.errors import HostError
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.logs import open_log, tail
from atftctl.host.files.reading import read_bytes
from atftctl.state.layout import Layout

LOG_LINES = 400
METRIC_LINES = 1000
HEADER_BYTES = 64 << 10
CONFIG_BYTES = 1 << 20  # that are kept of each config


def collect(layout: Layout, configs: Iterable[str], process: Process, output: str) -> dict[str, bytes]:
    """The evidence: content by file name. What can't be read is left out: missing evidence must not stop a rescue.
    `output`: the file of the trainer's output."""
    evidence: dict[str, bytes] = {
        "process.json": json.dumps(dataclasses.asdict(process), ensure_ascii=False, indent=1, default=str).encode()
    }
    for name, lines in (
        (protocol.LOG, LOG_LINES),
        (output, LOG_LINES),
        (protocol.EVENTS, LOG_LINES),
        (protocol.METRICS, METRIC_LINES),
    ):
        if name == protocol.METRICS and not layout.metrics.is_default:
            if rows := _rows(layout, lines):
                evidence[name.replace("/", "__")] = rows
        elif text := tail(layout.root, name, lines):
            if name == protocol.METRICS:
                text = _with_header(layout, text)
            evidence[name.replace("/", "__")] = ("\n".join(text) + "\n").encode()
    for name in configs:
        try:
            path = resolve_inside(layout.root, name, layout.outside)
            evidence[name.replace("/", "__")] = read_bytes(path, CONFIG_BYTES)
        except (OSError, HostError):
            continue
    return evidence


def _rows(layout: Layout, rows: int) -> bytes:
    """The newest rows of the files of metrics that the runbook names, as CSV."""
    from atftctl.observe.metrics.around_any import kept_rows

    try:
        return kept_rows(layout, rows)
    except (OSError, HostError):
        return b""


def _with_header(layout: Layout, lines: list[str]) -> list[str]:
    """The last lines of the metrics below the header of their file, so that they can be read without it."""
    try:
        with open_log(layout.root, protocol.METRICS) as file:
            header = file.readline(HEADER_BYTES).decode("utf-8", "replace").rstrip("\r\n")
    except (OSError, HostError):
        return lines
    return lines if not header or lines[0] == header else [header, *lines]
