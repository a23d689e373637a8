"""Recording what `verify` and `baseline record` found: the tool's own files, written durably."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atftctl.host import footprint
from atftctl.host.files.durable import append_durably, write_durably
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def write(layout: Layout, baseline: Mapping[str, Any]) -> None:
    footprint.leave("recorded the baseline")
    write_durably(layout.baseline, sealed_records.plain(baseline, indent=1))


def mark_verified(layout: Layout, digests: Mapping[str, str], checks: Mapping[str, str], now: datetime) -> None:
    """These file digests passed these checks; a snapshot of exactly them is verified-good from now on."""
    line = {"at": now.isoformat(timespec="seconds"), "digests": dict(digests), "checks": dict(checks)}
    append_durably(layout.verified, sealed_records.plain(line) + b"\n")
