"""Configs that caused a rollback, by their digest: append-only, the last word on each counts."""

from __future__ import annotations

import json
from datetime import datetime

from atftctl.host import footprint
from atftctl.host.files.durable import append_durably
from atftctl.host.locks import operator
from atftctl.state.layout import Layout


def add(layout: Layout, digest: str, why: str, now: datetime) -> None:
    _say(layout, {"digest": digest, "quarantined": True, "why": why}, now)


def lift(layout: Layout, digest: str, why: str, now: datetime) -> None:
    _say(layout, {"digest": digest, "quarantined": False, "why": why}, now)


def _say(layout: Layout, words: dict[str, object], now: datetime) -> None:
    line = {**words, "at": now.isoformat(timespec="seconds"), "operator": operator()}
    footprint.leave("changed the quarantine of configs")
    append_durably(layout.quarantine, (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
