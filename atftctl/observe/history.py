"""The history of operations: one line of JSON each, oldest first. A line that is not whole is passed over."""

from __future__ import annotations

from typing import Any

from atftctl.domain.errors import WrongUsage
from atftctl.host.layout import Layout
from atftctl.host.records import read_lines
from atftctl.observe.binding import nearest


def read(layout: Layout) -> list[dict[str, Any]]:
    return [entry for entry in read_lines(layout.history) if _whole(entry)]


def _whole(entry: dict[str, Any]) -> bool:
    if not all(isinstance(entry.get(name), str) for name in ("operation", "command", "title")):
        return False
    files = entry.get("files", [])
    return isinstance(files, list) and all(
        isinstance(file, dict) and {"path", "old", "new", "mode"} <= file.keys() for file in files
    )


def find(entries: list[dict[str, Any]], word: str) -> dict[str, Any]:
    """By id, unique beginning of an id, or "" for the newest that changed files."""
    changed = [entry for entry in entries if entry.get("files")]
    if not changed:
        raise WrongUsage("there is no operation to undo", stands="nothing has changed")
    if not word:
        return changed[-1]
    found = [entry for entry in changed if str(entry["operation"]).startswith(word)]
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
        then=nearest(word, [e["operation"] for e in changed]),
    )
