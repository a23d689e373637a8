"""Read the trainer's event log, heartbeat and metrics. Lines that are not complete are skipped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atftctl import protocol
from atftctl.host.errors import HostError
from atftctl.host.files.logs import TAIL_LIMIT, inode_of_log, real_path, size_of_log
from atftctl.host.files.reading import open_regular
from atftctl.observe.metrics.rotation import is_compressed, parts
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records

POLL_S = 0.02
STARTED = ".atftctl/process.json"  # is written at each start
HEADER_LIMIT = 64 << 10  # bytes
ROW_LIMIT = 64 << 10  # characters; no row of metrics is so long, and csv refuses longer fields
NEWEST = 2 << 20  # bytes of metrics that are read at most


def events(root: Path, *, offset: int = 0, inode: int = 0, run_id: str = "") -> Iterator[dict[str, Any]]:
    """The events of one run (of all runs for ""), from a byte offset of the log on. `inode`: of the file that the
    offset is for; 0 where that is not known."""
    for path, start in parts_since(root, protocol.EVENTS, offset, inode):
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
    numbers = all(protocol.is_number(beat.get(name)) for name in ("t", "limit_s"))
    return beat if numbers and beat.get("run_id") == run_id else {}


def metrics_since(root: Path, offset: int, *, inode: int = 0, generation: int = 0) -> list[dict[str, str]]:
    """The complete rows of the metrics from a byte offset on, as text by column; at most the newest 2 MiB of a file.
    `inode`: as for `events`. `generation`: of the trainer whose rows are wanted; see `_is_of`."""
    parts = parts_since(root, protocol.METRICS, offset, inode)
    rows = [row for path, start in parts for row in _rows(path, start, NEWEST)]
    return [row for row in rows if _is_of(row, generation)]


def last_metrics(root: Path, rows: int, *, generation: int | None = None) -> list[dict[str, str]]:
    """The last complete rows of metrics.csv, as text by column; of this generation where one is given."""
    last = _rows(real_path(root, protocol.METRICS), 0, TAIL_LIMIT)
    return [row for row in last if generation is None or _is_of(row, generation)][-rows:]


def _is_of(row: Mapping[str, str], generation: int) -> bool:
    """May the trainer of this generation have written the row? An earlier one that goes on late writes rows, too, with
    its own number. A row without a number counts; so do all for generation 0, which is not known."""
    if not generation:
        return True
    try:
        return float(row.get(protocol.GENERATION_COLUMN) or 0) in (0, generation)
    except ValueError:
        return False


def _rows(path: Path, start: int, limit: int) -> list[dict[str, str]]:
    """The complete rows of one file from a byte on; at most those in the newest `limit` bytes."""
    import csv

    try:
        with open_regular(path) as file:
            header = file.readline(HEADER_LIMIT).decode("utf-8", "replace").strip()
            begin = max(start, file.seek(0, os.SEEK_END) - limit)
            file.seek(max(0, begin - 1))
            text = file.read(limit + 1)
    except (OSError, HostError):
        return []
    if begin:  # from a byte before, so that a row is left out only where it is cut
        text = text[text.find(b"\n") + 1 :]
    lines = text[: text.rfind(b"\n") + 1].decode("utf-8", "replace").splitlines()
    whole = [line for line in lines if line != header and len(line) < ROW_LIMIT]
    names = [name.strip().strip('"') for name in header.split(",")]
    reader = csv.DictReader(whole, fieldnames=names)
    return [row for row in reader if None not in row and None not in row.values()]


def parts_since(root: Path, name: str, offset: int, inode: int) -> list[tuple[Path, int]]:
    """The files that hold a log from `offset` of the file with this inode on, and the position in each. Where the log
    was rotated since, that file has another name (events.jsonl.1), and the trainer may still write to it. Where it was
    copied and then emptied (logrotate: copytruncate), the copies hold what was before. What is in a file that was
    compressed or deleted is lost."""
    path = real_path(root, name)
    current = inode_of_log(root, name)
    if not inode or current == inode:
        whole = offset <= size_of_log(root, name)
        return [(path, offset)] if whole else [*_copies(root, name, offset), (path, 0)]
    try:
        others = [other for other in path.parent.iterdir() if other.name.startswith(path.name) and other != path]
    except OSError:
        others = []
    rotated = [(other, offset) for other in others if _inode(other) == inode]
    return [*rotated, *([(path, 0)] if current else [])]


def _copies(root: Path, name: str, offset: int) -> list[tuple[Path, int]]:
    """The copies that were made of a log before it was emptied, the oldest first, and the position in each. Only those
    that were written since the newest start: older ones belong to other runs."""
    try:
        started = (root / STARTED).lstat().st_mtime_ns
        copies = [(path.lstat(), path) for path in parts(root, name)[:-1] if not is_compressed(path)]
    except OSError:
        return []
    copies = [(facts, path) for facts, path in copies if facts.st_mtime_ns >= started]
    first = next((at for at in reversed(range(len(copies))) if copies[at][0].st_size >= offset), len(copies))
    return [(path, 0 if number else offset) for number, (_, path) in enumerate(copies[first:])]


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0
