"""The probe runs of earlier bisections, kept so that they need not be made again: `.atftctl/bisected.json`."""

from __future__ import annotations

import json
from typing import Any

from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def known_runs(layout: Layout) -> dict[str, dict[str, Any]]:
    """The recorded runs by key; empty where there is no file, or none that can be read."""
    try:
        runs = sealed_records.try_json(layout.bisected)
        return {str(key): dict(run) for key, run in runs.items() if isinstance(run.get("rows"), list)}
    except (ValueError, TypeError, AttributeError):
        return {}


def keep_runs(layout: Layout, runs: dict[str, dict[str, Any]]) -> None:
    """Write all runs durably. Raises OSError."""
    make_dirs(layout.state, 0o700)
    write_durably(layout.bisected, json.dumps(runs).encode(), 0o600)
