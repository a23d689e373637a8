"""Read the trainer's event log, heartbeat and metrics. Lines that are not complete are skipped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.host.errors import HostError
from atftctl.host.files.logs import inode_of_log, open_log, real_path, size_of_log, tail
from atftctl.host.files.reading import open_regular
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records

POLL_S = 0.02
HEADER_LIMIT = 64 << 10  # bytes
ROW_LIMIT = 64 << 10  # characters; no row of metrics is so long, and csv refuses longer fields
NEWEST = 2 << 20  # bytes of metrics that are read at most


def events(root: Path, *, offset: int = 0, inode: int = 0, run_id: str = "") -> Iterator[dict[str, Any]]:
    """The events of one run (of all runs for ""), from a byte offset of the log on. `inode`: of the file that the
    offset is for; 0 where that is not known."""
    for path, start in _parts(root, offset, inode):
        try:
            with open_regular(path) as file:
                file.seek(start)
                for line in file:
                    record = protocol.parse_event(line)
                    if record and (not run_id or record.get("run_id") == run_id):
                        yield record
        except (OSError, HostError):
            continue


def await_event(
    root: Path,
    *,
    run_id: str,
    offset: int,
    inode: int = 0,
    wanted: tuple[str, ...],
    alive: Callable[[], bool],
    limit_s: float,
    request: str = "",
) -> tuple[Mapping[str, Any] | None, str]:
    """Wait for the first event of this run with one of these names (and with this `request`, if given): (event, ""), or
    (None, why there is none): the process ended, or `limit_s` seconds have passed."""
    deadline = time.monotonic() + limit_s
    while True:
        living = alive()  # asked before the log is read, so that a final event is not missed
        for record in events(root, offset=offset, inode=inode, run_id=run_id):
            if record["event"] in wanted and (not request or record.get("request") == request):
                return record, ""
        if not living:
            return None, tr("the process ended")
        if time.monotonic() >= deadline:
            return None, tr("not seen within {limit_s:g} s", limit_s=limit_s)
        time.sleep(POLL_S)


def heartbeat(root: Path, run_id: str) -> Mapping[str, Any]:
    """The last heartbeat of this run; empty where there is none."""
    beat = sealed_records.try_json(real_path(root, protocol.HEARTBEAT))
    numbers = all(isinstance(beat.get(name), int | float) for name in ("t", "limit_s"))
    return beat if numbers and beat.get("run_id") == run_id else {}


def metrics_since(root: Path, offset: int) -> list[dict[str, str]]:
    """The complete rows of metrics.csv after a byte offset, as text by column; at most the newest 2 MiB."""
    return _metrics(root, 100_000, since=offset, limit=NEWEST)


def last_metrics(root: Path, rows: int) -> list[dict[str, str]]:
    """The last complete rows of metrics.csv, as text by column."""
    return _metrics(root, rows)


def _metrics(root: Path, rows: int, **window: int) -> list[dict[str, str]]:
    import csv

    try:
        with open_log(root, protocol.METRICS) as file:
            header = file.readline(HEADER_LIMIT).decode("utf-8", "replace").strip()
    except (OSError, HostError):
        return []
    lines = [line for line in tail(root, protocol.METRICS, rows, **window) if line != header and len(line) < ROW_LIMIT]
    reader = csv.DictReader(lines, fieldnames=header.split(","))
    return [row for row in reader if None not in row and None not in row.values()]


def _parts(root: Path, offset: int, inode: int) -> list[tuple[Path, int]]:
    """The files that hold the event log from `offset` of the file with this inode on, and the position in each. Where
    the log was rotated since, that file has another name (events.jsonl.1), and the trainer may still write to it; the
    events in a file that was compressed or deleted are lost."""
    path = real_path(root, protocol.EVENTS)
    current = inode_of_log(root, protocol.EVENTS)
    if not inode or current == inode:
        return [(path, offset if offset <= size_of_log(root, protocol.EVENTS) else 0)]
    try:
        others = [other for other in path.parent.iterdir() if other.name.startswith(path.name) and other != path]
    except OSError:
        others = []
    rotated = [(other, offset) for other in others if _inode(other) == inode]
    return [*rotated, *([(path, 0)] if current else [])]


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0
