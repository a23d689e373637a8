"""The files that passed `verify`, by their digests: `.atftctl/verified.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from atftctl.domain.snapshot import Passed, Passes
from atftctl.host.files.durable import append_durably
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def passes(layout: Layout) -> Passes:
    """Each passing `verify`, oldest first: the SHA-256 of each file that it checked, and its checklist."""
    passed = []
    for line in sealed_records.read_lines(layout.verified):
        digests, checks = line.get("digests"), line.get("checks")
        if isinstance(digests, dict) and digests:
            results = {str(name): str(text) for name, text in checks.items()} if isinstance(checks, dict) else {}
            files = {str(path): str(digest) for path, digest in digests.items()}
            passed.append((files, Passed(str(line.get("at")), results)))
    return passed


def mark_verified(layout: Layout, digests: Mapping[str, str], checks: Mapping[str, str], now: datetime) -> None:
    """Record that these files (SHA-256 by path) passed these checks. A snapshot that holds exactly them is
    verified-good from now on. Raises OSError."""
    line = {"at": now.isoformat(timespec="seconds"), "digests": dict(digests), "checks": dict(checks)}
    append_durably(layout.verified, sealed_records.plain(line) + b"\n")
