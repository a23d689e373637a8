"""The history of operations: one line of JSON each, oldest first. A line that is not whole is passed over."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from atftctl.domain.errors import WrongUsage
from atftctl.domain.words import nearest
from atftctl.host.layout import Layout
from atftctl.host.records import read_lines


def read(layout: Layout) -> list[dict[str, Any]]:
    return [entry for entry in read_lines(layout.history) if _whole(entry)]


def _whole(entry: dict[str, Any]) -> bool:
    if not all(isinstance(entry.get(name), str) for name in ("operation", "command", "title")):
        return False
    files = entry.get("files", [])
    return isinstance(files, list) and all(
        isinstance(file, dict) and {"path", "old", "new", "mode"} <= file.keys() for file in files
    )


def tampered(layout: Layout) -> list[str]:
    """Where a line was altered, put in or taken out: each line carries the hash of the one before it, and a file beside
    the history, written before and after each line, says how it ends. Empty where all is as it was written. Raises
    OSError."""
    try:
        lines = layout.history.read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    found, hashes = [], [""]
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is not None and entry.get("before") != hashes[-1]:
            found.append(f"line {number} does not follow line {number - 1}: one of them was altered, or a line is gone")
        hashes.append(hashlib.sha256(line).hexdigest())
    return found + _end(layout, lines, hashes)


def _end(layout: Layout, lines: list[bytes], hashes: list[str]) -> list[str]:
    try:
        end = json.loads(layout.history_end.read_bytes())
        count, last, following = int(end["lines"]), str(end["sha256"]), str(end["next"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ["how it ends is not known: the disk was full, or that was taken away"] if lines else []
    if len(lines) < count:
        return [f"{count - len(lines)} of {count} lines are gone from its end"]
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
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def find_any(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """By id, unique beginning of an id, or "" for the newest. Raises WrongUsage."""
    if not entries:
        raise WrongUsage("no operation yet", stands="nothing has changed")
    return entries[-1] if not word else _by_word(entries, word)


def find(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """By id, unique beginning of an id, or "" for the newest that changed files."""
    changed = [entry for entry in entries if entry.get("files") or entry.get("packages")]
    if not changed:
        raise WrongUsage("there is no operation to undo", stands="nothing has changed")
    if not word:
        return changed[-1]
    return _by_word(changed, word)


def _by_word(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    found = [entry for entry in entries if str(entry["operation"]).startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise WrongUsage(
            f"{word!r} could be {', '.join(str(one['operation']) for one in found)}",
            stands="nothing has changed",
        )
    raise WrongUsage(
        f"no operation {word!r}",
        stands="nothing has changed",
        then=nearest(word, [entry["operation"] for entry in entries[-50:]]),
    )
