"""The files that passed `verify`, by their digests: `.atftctl/verified.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atftctl.domain.snapshot import Passed, Passes
from atftctl.host.files.durable import append_durably
from atftctl.protocol.messages import from_record, record_of
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def passes(layout: Layout) -> Passes:
    """Each passing `verify`, oldest first: the SHA-256 of each file that it checked, and its checklist."""
    passed = []
    for line in sealed_records.read_lines(layout.verified):
        digests, checks = line.get("digests"), line.get("checks")
        if isinstance(digests, dict) and digests:
            results = _results(checks, line.get("texts")) if isinstance(checks, dict) else {}
            files = {str(path): str(digest) for path, digest in digests.items()}
            passed.append((files, Passed(str(line.get("at")), results)))
    return passed


def mark_verified(layout: Layout, digests: Mapping[str, str], checks: Mapping[str, str], now: datetime) -> None:
    """Record that these files (SHA-256 by path) passed these checks. A snapshot that holds exactly them is
    verified-good from now on. Raises OSError."""
    texts = {name: record_of(text) for name, text in checks.items()}
    line = {"at": now.isoformat(timespec="seconds"), "digests": dict(digests), "checks": dict(checks), "texts": texts}
    append_durably(layout.verified, sealed_records.plain(line) + b"\n")


def _results(checks: Mapping[str, Any], texts: object) -> dict[str, str]:
    """What each check measured: the text that can be translated where the record has it, else the English one."""
    known = texts if isinstance(texts, Mapping) else {}
    return {str(name): _translatable(str(text), known.get(name)) for name, text in checks.items()}


def _translatable(text: str, record: object) -> str:
    try:
        made = from_record(record)
    except (KeyError, TypeError, ValueError):
        return text
    return made if made == text else text
