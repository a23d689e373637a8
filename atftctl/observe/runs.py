"""What the trainer says of itself: its event log and its metrics. Lines that are not whole are passed over."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atftctl import protocol

POLL_S = 0.02


def events(root: Path, *, offset: int = 0, run_id: str = "") -> Iterator[dict[str, Any]]:
    """Events of one run (or of all), from a byte offset of the log onwards."""
    try:
        with (root / protocol.EVENTS).open("rb") as file:
            file.seek(offset)
            for line in file:
                record = protocol.parse_event(line)
                if record and (not run_id or record.get("run_id") == run_id):
                    yield record
    except FileNotFoundError:
        return


def await_event(
    root: Path,
    *,
    run_id: str,
    offset: int,
    wanted: tuple[str, ...],
    alive: Callable[[], bool],
    limit_s: float,
    request: str = "",
) -> tuple[Mapping[str, Any] | None, str]:
    """The first event of these names of this run (that answers `request`), or None and why: the process ended, or
    the time was up."""
    deadline = time.monotonic() + limit_s
    while True:
        living = alive()  # asked before the log is read, so that a last word is not missed
        for record in events(root, offset=offset, run_id=run_id):
            if record["event"] in wanted and (not request or record.get("request") == request):
                return record, ""
        if not living:
            return None, "the process ended"
        if time.monotonic() >= deadline:
            return None, f"not seen within {limit_s:g} s"
        time.sleep(POLL_S)


def heartbeat(root: Path, run_id: str) -> Mapping[str, Any]:
    """The last sign of life of this run; empty without one."""
    try:
        beat = json.loads((root / protocol.HEARTBEAT).read_bytes())
    except (OSError, ValueError):
        return {}
    return beat if isinstance(beat, dict) and beat.get("run_id") == run_id else {}


def metrics_since(root: Path, offset: int) -> list[dict[str, str]]:
    """The whole rows of metrics.csv after a byte offset, as words by column; at most 2 MB of the newest."""
    return _metrics(root, 100_000, since=offset, limit=2 << 20)


def last_metrics(root: Path, rows: int) -> list[dict[str, str]]:
    """The last whole rows of metrics.csv as words by column."""
    return _metrics(root, rows)


def _metrics(root: Path, rows: int, **window: int) -> list[dict[str, str]]:
    import csv

    from atftctl.host.files import tail

    path = root / protocol.METRICS
    try:
        with path.open("rb") as file:
            header = file.readline().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return []
    lines = [line for line in tail(path, rows, **window) if line != header]
    found = csv.DictReader(lines, fieldnames=header.split(","))
    return [row for row in found if None not in row and None not in row.values()]
