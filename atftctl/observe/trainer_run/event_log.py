"""What the trainer says of itself: its event log and its metrics. Lines that are not whole are passed over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.host.errors import HostError
from atftctl.host.files.logs import inode_of_log, open_log, real_path, size_of_log, tail
from atftctl.host.files.reading import open_regular
from atftctl.state import sealed_records

POLL_S = 0.02
HEADER_LIMIT = 64 << 10  # bytes
ROW_LIMIT = 64 << 10  # characters; no row of metrics is so long, and csv refuses longer fields


def events(root: Path, *, offset: int = 0, inode: int = 0, run_id: str = "") -> Iterator[dict[str, Any]]:
    """Events of one run (or of all), from a byte offset of the log onwards; `inode`: of the file that the offset is
    meant for, 0 where that is not known."""
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


def _parts(root: Path, offset: int, inode: int) -> list[tuple[Path, int]]:
    """The files that hold the event log from `offset` of the file with this inode on, and where each begins. Where the
    log was rotated since, that file has another name by now (events.jsonl.1), and the trainer may go on writing there;
    one that was compressed or deleted is lost."""
    path = real_path(root, protocol.EVENTS)
    found = inode_of_log(root, protocol.EVENTS)
    if not inode or found == inode:
        return [(path, offset if offset <= size_of_log(root, protocol.EVENTS) else 0)]
    try:
        others = [other for other in path.parent.iterdir() if other.name.startswith(path.name) and other != path]
    except OSError:
        others = []
    rotated = [(other, offset) for other in others if _inode(other) == inode]
    return [*rotated, *([(path, 0)] if found else [])]


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0


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
    """The first event of these names of this run (that answers `request`), or None and why: the process ended, or
    the time was up."""
    deadline = time.monotonic() + limit_s
    while True:
        living = alive()  # asked before the log is read, so that a last word is not missed
        for record in events(root, offset=offset, inode=inode, run_id=run_id):
            if record["event"] in wanted and (not request or record.get("request") == request):
                return record, ""
        if not living:
            return None, "the process ended"
        if time.monotonic() >= deadline:
            return None, f"not seen within {limit_s:g} s"
        time.sleep(POLL_S)


def heartbeat(root: Path, run_id: str) -> Mapping[str, Any]:
    """The last sign of life of this run; empty without one."""
    beat = sealed_records.try_json(real_path(root, protocol.HEARTBEAT))
    numbers = all(isinstance(beat.get(name), int | float) for name in ("t", "limit_s"))
    return beat if numbers and beat.get("run_id") == run_id else {}


def metrics_since(root: Path, offset: int) -> list[dict[str, str]]:
    """The whole rows of metrics.csv after a byte offset, as words by column; at most 2 MB of the newest."""
    return _metrics(root, 100_000, since=offset, limit=2 << 20)


def last_metrics(root: Path, rows: int) -> list[dict[str, str]]:
    """The last whole rows of metrics.csv as words by column."""
    return _metrics(root, rows)


def _metrics(root: Path, rows: int, **window: int) -> list[dict[str, str]]:
    import csv

    try:
        with open_log(root, protocol.METRICS) as file:
            header = file.readline(HEADER_LIMIT).decode("utf-8", "replace").strip()
    except (OSError, HostError):
        return []
    lines = [line for line in tail(root, protocol.METRICS, rows, **window) if line != header and len(line) < ROW_LIMIT]
    found = csv.DictReader(lines, fieldnames=header.split(","))
    return [row for row in found if None not in row and None not in row.values()]
