"""Which copies of snapshots were found undamaged, and when: `.atftctl/checked.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime

from atftctl.host.files.durable import write_durably
from atftctl.host.files.fingerprint import inode_key
from atftctl.state.layout import Layout
from atftctl.state.sealed_records import try_json


def remember_checked(layout: Layout, checked: Mapping[str, tuple[str, str]]) -> None:
    """What copies were found to hold, and when, by their identity on disk; those that are gone are forgotten."""
    there = set()
    for folder, _, names in os.walk(layout.backups):
        for name in names:
            there.add(inode_key(os.lstat(os.path.join(folder, name))))  # noqa: PTH118
    kept = {key: list(value) for key, value in checked.items() if key in there}
    write_durably(layout.checked, json.dumps(kept).encode(), 0o600)


def checked(layout: Layout) -> dict[str, tuple[str, str]]:
    """What copies were found to hold, and when, by their identity on disk. Lost or unreadable, copies are hashed again:
    no harm."""
    try:
        known = {str(key): (str(digest), str(at)) for key, (digest, at) in try_json(layout.checked).items()}
        return {key: one for key, one in known.items() if _is_time(one[1])}
    except (ValueError, TypeError):
        return {}


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
