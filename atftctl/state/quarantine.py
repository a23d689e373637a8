"""Configs that caused a rollback, by their digest: append-only, the last word on each counts."""

from __future__ import annotations

import json
from datetime import datetime

from atftctl.host import footprint
from atftctl.host.files.durable import append_durably
from atftctl.host.locks import operator
from atftctl.state.layout import Layout
from atftctl.state.sealed_records import read_lines


def add(layout: Layout, digest: str, why: str, now: datetime) -> None:
    _say(layout, {"digest": digest, "quarantined": True, "why": why}, now)


def lift(layout: Layout, digest: str, why: str, now: datetime) -> None:
    _say(layout, {"digest": digest, "quarantined": False, "why": why}, now)


def _say(layout: Layout, words: dict[str, object], now: datetime) -> None:
    line = {**words, "at": now.isoformat(timespec="seconds"), "operator": operator()}
    footprint.leave("changed the quarantine of configs")
    append_durably(layout.quarantine, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def reason(layout: Layout, digest: str) -> str:
    """Why this one is; "" where it is not."""
    found = ""
    for line in read_lines(layout.quarantine):
        if digest and line.get("digest") == digest:
            found = f"{line.get('why')} ({line.get('at')}, {line.get('operator')})" if line.get("quarantined") else ""
    return found


def made_by(layout: Layout, digest: str, operation: str) -> bool:
    """Is it quarantined by this operation, and was it not before?"""
    why = ""
    for line in read_lines(layout.quarantine):
        if digest and line.get("digest") == digest:
            if not line.get("quarantined"):
                why = ""
            elif not why:
                why = str(line.get("why"))
    return why.endswith(operation) if operation else False
