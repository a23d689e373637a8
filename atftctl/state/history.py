"""The history of operations, `.atftctl/history.jsonl`: one line for each, only ever appended to. Each line holds the
hash of the line before it, and `history.end.json` holds the number of lines and the hash of the last."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.text import nearest
from atftctl.host.errors import HostError
from atftctl.host.files.containment import is_path
from atftctl.host.files.durable import append_durably, remove, write_durably
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.host.locks import operator
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state import sealed_records
from atftctl.state.layout import SNAPSHOT_NAME, Layout

# The types of the values that a line may hold besides `operation`, `command` and `title`.
KINDS: dict[str, type | tuple[type, ...]] = {
    "outcome": str,
    "operator": str,
    "reason": str,
    "started": str,
    "ended": str,
    "verdict": str,
    "error": str,
    "exit_code": int,
    "generation": int,
    "parts": dict,
    "first_step": dict,
    "proof": dict,
    "changes": list,
    "removed": list,
    "about": dict,
    "git": dict,
    "packages": dict,
}
RECENT = 50  # lines that are searched for an operation that was recorded a moment ago


def new_entry(command: str, title: str, reason: str, now: datetime) -> dict[str, Any]:
    """The first fields of the line of a new operation. Its id begins with the time, so that ids sort by time."""
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
    """Append the line of an operation, unless it has one already (recovery may call this twice)."""
    lines = _lines(layout)
    if any(_operation(line) == entry["operation"] for line in lines[-RECENT:]):
        return
    before = sha256_bytes(lines[-1]) if lines else ""
    line = sealed_records.plain({**entry, "before": before})
    announced = _write_end(layout, len(lines), before, sha256_bytes(line))  # after a crash the line is known, or absent
    append_durably(layout.history, line + b"\n")
    if not _write_end(layout, len(lines) + 1, sha256_bytes(line), "") and not announced:
        with suppress(OSError):
            remove(layout.history_end)  # no record of the end is better than a wrong one


def append_freeing(layout: Layout, entry: Mapping[str, Any], free: Callable[[], object]) -> None:
    """As `append`; where that fails, `free` makes room on the disk and it is tried once more. Raises OSError."""
    try:
        append(layout, entry)
    except OSError:
        free()
        append(layout, entry)


def read(layout: Layout) -> list[dict[str, Any]]:
    """Every valid line, oldest first."""
    return [entry for entry in sealed_records.read_lines(layout.history) if _is_valid(entry)]


def records_removal(layout: Layout, snapshot: str) -> bool:
    """Does one of the newest lines record the removal of this snapshot?"""
    return any(
        snapshot in (entry.get("removed") or ()) for entry in sealed_records.read_lines(layout.history)[-RECENT:]
    )


def find_any(entries: list[dict[str, Any]], operation: str) -> dict[str, Any]:
    """The entry of an operation: by its id, by the unique beginning of its id, or the newest for "". Raises Refused,
    UsageError."""
    if not entries:
        raise Refused(tr("there is no operation yet"))
    return _by_id(entries, operation) if operation else entries[-1]


def find(entries: list[dict[str, Any]], operation: str) -> dict[str, Any]:
    """As `find_any`, among the operations that changed files or packages and so can be undone."""
    changed = [entry for entry in entries if entry.get("files") or entry.get("packages")]
    if not changed:
        raise Refused(tr("there is no operation to undo"))
    return _by_id(changed, operation) if operation else changed[-1]


def evidence(path: Path) -> dict[str, Any]:
    """The JSON object in a file of an operation's evidence; empty where the file is missing or not valid."""
    return sealed_records.try_json(path)


def tampered(layout: Layout) -> list[str]:
    """Where a line was altered, inserted or removed: a message for each place; empty where the history is as it was
    written. Raises OSError."""
    lines = _lines(layout)
    problems: list[str] = []
    hashes = [""]
    for number, line in enumerate(lines, 1):
        entry = _parse(line)
        if entry is not None and entry.get("before") != hashes[-1]:
            problems.append(
                tr(
                    "line {number} does not follow line {previous}: one of them was altered, or a line was removed",
                    number=number,
                    previous=number - 1,
                )
            )
        hashes.append(sha256_bytes(line))
    return problems + _check_end(layout, lines, hashes)


def _check_end(layout: Layout, lines: list[bytes], hashes: list[str]) -> list[str]:
    try:
        end = json.loads(read_bytes(layout.history_end))
        count, last, following = int(end["lines"]), str(end["sha256"]), str(end["next"])
    except (OSError, HostError, ValueError, KeyError, TypeError, RecursionError):
        missing = tr("{name} is missing or not valid: lines at the end may be gone", name=layout.history_end.name)
        return [missing] if lines else []
    if len(lines) < count:
        gone = count - len(lines)
        return [
            trn(
                "{count} of {total} lines was removed from the end",
                "{count} of {total} lines were removed from the end",
                gone,
                total=count,
            )
        ]
    if hashes[count] != last:
        return [tr("line {number} was altered after it was written", number=count)]
    torn = len(lines) == count + 1 and _parse(lines[count]) is None  # a crash came while the line was written
    if len(lines) > count and hashes[count + 1] != following and not torn:
        return [tr("line {number} was altered after it was written", number=count + 1)]
    return []


def _write_end(layout: Layout, lines: int, digest: str, following: str) -> bool:
    """Record the number of lines, the hash of the last line, and the hash of the line that is about to follow. False
    where that fails (a full disk), which must not stop the operation."""
    end = {"lines": lines, "sha256": digest, "next": following}
    try:
        write_durably(layout.history_end, json.dumps(end).encode())
    except OSError:
        return False
    return True


def _lines(layout: Layout) -> list[bytes]:
    try:
        return read_bytes(layout.history).splitlines()
    except FileNotFoundError:
        return []


def _parse(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None for a line that a crash cut short (the hash in the next line still covers it)."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _operation(line: bytes) -> str:
    """The id of a line's operation; "" where it can't be read."""
    return str((_parse(line) or {}).get("operation", ""))


def _is_valid(entry: dict[str, Any]) -> bool:
    if not all(isinstance(entry.get(name), str) for name in ("operation", "command", "title")):
        return False
    for name, kind in KINDS.items():
        if name in entry and not isinstance(entry[name], kind):
            return False
    snapshot, files = entry.get("snapshot", ""), entry.get("files", [])
    if not isinstance(snapshot, str) or (snapshot and not SNAPSHOT_NAME.fullmatch(snapshot)):
        return False
    return isinstance(files, list) and all(isinstance(file, dict) and _is_valid_file(file) for file in files)


def _is_valid_file(file: dict[str, Any]) -> bool:
    digests = all(name in file and isinstance(file[name], str | None) for name in ("old", "new"))
    modes = all(type(file.get(name, 0)) is int for name in ("mode", "new_mode"))
    return digests and modes and is_path(file.get("path")) and "mode" in file


def _by_id(entries: list[dict[str, Any]], operation: str) -> dict[str, Any]:
    matches = [entry for entry in entries if str(entry["operation"]).startswith(operation)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = joined(", ", [str(entry["operation"]) for entry in matches])
        raise UsageError(tr("{id!r} is ambiguous: it matches {ids}", id=operation, ids=ids))
    raise UsageError(
        tr("there is no operation {id!r}", id=operation),
        hint=nearest(operation, [entry["operation"] for entry in entries[-RECENT:]]),
    )
