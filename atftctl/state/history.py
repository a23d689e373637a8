"""The history: append-only, one line an operation. Each line carries the hash of the line before it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from atftctl.host.files.durable import append_durably, read_bytes, remove, sha256_bytes, write_durably
from atftctl.host.locks import operator
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def new_entry(command: str, title: str, reason: str, now: datetime) -> dict[str, Any]:
    """How the line of one operation begins; its id sorts by time."""
    return {
        "operation": f"{now.strftime('%Y%m%d_%H%M%S')}-{secrets.token_hex(2)}",
        "command": command,
        "title": title,
        "reason": reason,
        "operator": operator(),
        "started": now.astimezone().isoformat(timespec="seconds"),
        "files": [],
    }


def append(layout: Layout, entry: Mapping[str, Any]) -> None:
    """Add the line unless this operation has one (recovery may come here twice)."""
    try:
        lines = read_bytes(layout.history).splitlines()
    except FileNotFoundError:
        lines = []
    if any(_operation(line) == entry["operation"] for line in lines[-50:]):
        return
    before = sha256_bytes(lines[-1]) if lines else ""
    line = sealed_records.plain({**entry, "before": before})
    announced = _end(layout, len(lines), before, sha256_bytes(line))  # a crash leaves an announced line, or none
    append_durably(layout.history, line + b"\n")
    if not _end(layout, len(lines) + 1, sha256_bytes(line), "") and not announced:
        with suppress(OSError):
            remove(layout.history_end)  # better not known than wrong


def _end(layout: Layout, lines: int, digest: str, following: str) -> bool:
    """How the history ends, and which line may come. False where that can't be said (a full disk): it stops nothing."""
    end = {"lines": lines, "sha256": digest, "next": following}
    try:
        write_durably(layout.history_end, json.dumps(end).encode())
    except OSError:
        return False
    return True


def append_freeing(layout: Layout, entry: Mapping[str, Any], free: Callable[[], object]) -> None:
    """As `append`; where the disk is full, room is made first. Raises OSError where that is not enough."""
    try:
        append(layout, entry)
    except OSError:
        free()
        append(layout, entry)


def tells_of_removal(layout: Layout, snapshot: str) -> bool:
    """Has one of the newest lines said that this snapshot was taken away?"""
    return any(snapshot in (entry.get("removed") or ()) for entry in sealed_records.read_lines(layout.history)[-50:])


def _operation(line: bytes) -> str:
    try:
        return str(json.loads(line)["operation"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
