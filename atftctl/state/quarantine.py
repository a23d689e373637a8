"""Configs that caused a rollback and must not be started again, by their digest: `.atftctl/quarantine.jsonl`. Lines are
only appended; the last line of a digest counts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from atftctl.host import footprint
from atftctl.host.files.durable import append_durably
from atftctl.host.locks import operator
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout
from atftctl.state.sealed_records import read_lines


def add(layout: Layout, digest: str, why: str, now: datetime) -> None:
    """Put the config with this digest into quarantine. Raises OSError."""
    _append(layout, {"digest": digest, "quarantined": True, "why": why}, now)


def lift(layout: Layout, digest: str, why: str, now: datetime) -> None:
    """Take the config with this digest out of quarantine. Raises OSError."""
    _append(layout, {"digest": digest, "quarantined": False, "why": why}, now)


def reason(layout: Layout, digest: str) -> str:
    """Why the config with this digest is in quarantine, since when and by whom; "" where it is not."""
    last: dict[str, Any] = {}
    for line in read_lines(layout.quarantine):
        if digest and line.get("digest") == digest:
            last = line
    if not last.get("quarantined"):
        return ""
    values = {name: str(last.get(name)) for name in ("why", "at", "operator")}
    return tr("{why} ({at}, {operator})", **values)


def made_by(layout: Layout, digest: str, operation: str) -> bool:
    """Was this config put into quarantine by this operation, and is it still there?"""
    why = ""
    for line in read_lines(layout.quarantine):
        if digest and line.get("digest") == digest:
            if not line.get("quarantined"):
                why = ""
            elif not why:
                why = str(line.get("why"))
    return why.endswith(operation) if operation else False


def _append(layout: Layout, fields: dict[str, object], now: datetime) -> None:
    line = {**fields, "at": now.isoformat(timespec="seconds"), "operator": operator()}
    with footprint.of_file(layout.quarantine, tr("changed the quarantine of configs")):
        append_durably(layout.quarantine, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
