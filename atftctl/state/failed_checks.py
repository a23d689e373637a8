"""The checklists that failed, for the page of an incident: `.atftctl/failed_checks.json`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atftctl.domain.incident import Failed
from atftctl.host.errors import HostError
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import from_record, record_of
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

MOST = 50  # the oldest go first
LONGEST = 4 << 20  # bytes that are read


def read(layout: Layout) -> list[Failed]:
    """Each one, oldest first. Empty where there is no file, or none that can be read."""
    try:
        body = sealed_records.unseal(read_bytes(layout.failed_checks, LONGEST), layout.failed_checks.name)
        return [_from_json(entry) for entry in body["failed"]]
    except (OSError, HostError, KeyError, TypeError, ValueError, AttributeError):
        return []


def record(layout: Layout, digests: Mapping[str, str], checks: Mapping[str, tuple[str, str]], now: datetime) -> None:
    """Keep that these configs (SHA-256 by path) failed. checks: (verdict, what was measured) of each check. Raises
    OSError, HostError."""
    known = [*read(layout), Failed(now.isoformat(timespec="seconds"), digests, checks)]
    make_dirs(layout.state, 0o700)
    body = {"failed": list(map(_to_json, known[-MOST:]))}
    write_durably(layout.failed_checks, sealed_records.seal(body), 0o600)


def _to_json(failed: Failed) -> dict[str, Any]:
    checks = {name: [verdict, record_of(text)] for name, (verdict, text) in failed.checks.items()}
    return {"at": failed.at, "digests": dict(failed.digests), "checks": checks}


def _from_json(entry: Mapping[str, Any]) -> Failed:
    digests = {str(path): str(digest) for path, digest in entry["digests"].items()}
    checks = {str(name): (str(verdict), from_record(text)) for name, (verdict, text) in entry["checks"].items()}
    return Failed(str(entry["at"]), digests, checks)
