"""Which files passed `verify`: `.atftctl/verified.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from atftctl.domain.snapshot import (
    Passed,
    Passes,
)
from atftctl.host.files.durable import append_durably
from atftctl.state import sealed_records
from atftctl.state.layout import Layout
from atftctl.state.sealed_records import read_lines


def passes(layout: Layout) -> Passes:
    """File digests that a passing `verify` checked, and its checks, oldest first."""
    found = []
    for line in read_lines(layout.verified):
        digests, checks = line.get("digests"), line.get("checks")
        if isinstance(digests, dict) and digests:
            checks = {str(name): str(words) for name, words in checks.items()} if isinstance(checks, dict) else {}
            found.append(({str(path): str(one) for path, one in digests.items()}, Passed(str(line.get("at")), checks)))
    return found


def mark_verified(layout: Layout, digests: Mapping[str, str], checks: Mapping[str, str], now: datetime) -> None:
    """These file digests passed these checks; a snapshot of exactly them is verified-good from now on."""
    line = {"at": now.isoformat(timespec="seconds"), "digests": dict(digests), "checks": dict(checks)}
    append_durably(layout.verified, sealed_records.plain(line) + b"\n")
