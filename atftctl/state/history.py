"""The history: append-only, one line an operation. Each line carries the hash of the line before it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.text import counted, nearest
from atftctl.host.errors import HostError
from atftctl.host.files.containment import is_path
from atftctl.host.files.durable import append_durably, remove, write_durably
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.reading import read_bytes
from atftctl.host.locks import operator
from atftctl.state import sealed_records
from atftctl.state.layout import SNAPSHOT_NAME, Layout
from atftctl.state.sealed_records import read_lines, try_json


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


def records_removal(layout: Layout, snapshot: str) -> bool:
    """Has one of the newest lines said that this snapshot was taken away?"""
    return any(snapshot in (entry.get("removed") or ()) for entry in sealed_records.read_lines(layout.history)[-50:])


def _operation(line: bytes) -> str:
    try:
        return str(json.loads(line)["operation"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


# What a line may hold beside its operation, command and title, where anybody reads it.
KINDS: dict[str, type | tuple[type, ...]] = {
    "outcome": str, "operator": str, "reason": str, "started": str, "ended": str, "verdict": str, "error": str,
    "exit_code": int, "parts": dict, "first_step": dict, "changes": list, "removed": list, "about": dict,
    "git": dict, "packages": dict,
}  # fmt: skip


def read(layout: Layout) -> list[dict[str, Any]]:
    return [entry for entry in read_lines(layout.history) if _whole(entry)]


def _whole(entry: dict[str, Any]) -> bool:
    if not all(isinstance(entry.get(name), str) for name in ("operation", "command", "title")):
        return False
    for name, kind in KINDS.items():
        if name in entry and not isinstance(entry[name], kind):
            return False
    snapshot, files = entry.get("snapshot", ""), entry.get("files", [])
    if not isinstance(snapshot, str) or (snapshot and not SNAPSHOT_NAME.fullmatch(snapshot)):
        return False
    return isinstance(files, list) and all(isinstance(file, dict) and _whole_file(file) for file in files)


def _whole_file(file: dict[str, Any]) -> bool:
    digests = all(name in file and isinstance(file[name], str | None) for name in ("old", "new"))
    modes = all(type(file.get(name, 0)) is int for name in ("mode", "new_mode"))
    return digests and modes and is_path(file.get("path")) and "mode" in file


def tampered(layout: Layout) -> list[str]:
    """Where a line was altered, put in or taken out: each line carries the hash of the one before it, and a file beside
    the history, written before and after each line, says how it ends. Empty where all is as it was written. Raises
    OSError."""
    try:
        lines = read_bytes(layout.history).splitlines()
    except FileNotFoundError:
        lines = []
    found, hashes = [], [""]
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is not None and entry.get("before") != hashes[-1]:
            found.append(f"line {number} does not follow line {number - 1}: one of them was altered, or a line is gone")
        hashes.append(hashlib.sha256(line).hexdigest())
    return found + _check_end(layout, lines, hashes)


def _check_end(layout: Layout, lines: list[bytes], hashes: list[str]) -> list[str]:
    try:
        end = json.loads(read_bytes(layout.history_end))
        count, last, following = int(end["lines"]), str(end["sha256"]), str(end["next"])
    except (OSError, HostError, ValueError, KeyError, TypeError, RecursionError):
        return ["how it ends is not known: the disk was full, or that was taken away"] if lines else []
    if len(lines) < count:
        gone = count - len(lines)
        return [f"{gone} of {counted(count, 'line')} {'is' if gone == 1 else 'are'} gone from its end"]
    if hashes[count] != last:
        return [f"line {count} is not the one that was written"]
    torn = len(lines) == count + 1 and _entry(lines[count]) is None  # by a crash, while it was written
    if len(lines) > count and hashes[count + 1] != following and not torn:
        return [f"line {count + 1} is not the one that was written"]
    return []


def _entry(line: bytes) -> dict[str, Any] | None:
    """None for what a crash cut short; the next line vouches for it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def evidence(path: Path) -> dict[str, Any]:
    """A JSON object of an operation's evidence; empty where it is not there, or not whole."""
    return try_json(path)


def find_any(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """By id, unique beginning of an id, or "" for the newest. Raises UsageError."""
    if not entries:
        raise Refused("there is no operation yet")
    return entries[-1] if not word else _by_word(entries, word)


def find(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """By id, unique beginning of an id, or "" for the newest that changed files."""
    changed = [entry for entry in entries if entry.get("files") or entry.get("packages")]
    if not changed:
        raise Refused("there is no operation to undo")
    if not word:
        return changed[-1]
    return _by_word(changed, word)


def _by_word(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    found = [entry for entry in entries if str(entry["operation"]).startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{word!r} could be {', '.join(str(one['operation']) for one in found)}",
        )
    raise UsageError(
        f"no operation {word!r}",
        hint=nearest(word, [entry["operation"] for entry in entries[-50:]]),
    )
