"""The SHA-256 of copies in snapshots when they were last hashed, and when that was: `.atftctl/checked.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime

from atftctl.host.files.durable import write_durably
from atftctl.host.files.fingerprint import inode_key
from atftctl.state.layout import Layout
from atftctl.state.sealed_records import try_json


def checked(layout: Layout) -> dict[str, tuple[str, str]]:
    """(SHA-256, time) of each copy, by its key on disk (`inode_key`). Empty where the file is missing or not valid:
    the copies are then hashed again."""
    try:
        known = {str(key): (str(digest), str(at)) for key, (digest, at) in try_json(layout.checked).items()}
        return {key: (digest, at) for key, (digest, at) in known.items() if _is_time(at)}
    except (ValueError, TypeError):
        return {}


def remember_checked(layout: Layout, checked: Mapping[str, tuple[str, str]]) -> None:
    """Write (SHA-256, time) of each copy, by its key on disk. Copies that no longer exist are left out. Raises
    OSError."""
    existing = set()
    for folder, _, names in os.walk(layout.backups):
        for name in names:
            existing.add(inode_key(os.lstat(os.path.join(folder, name))))  # noqa: PTH118
    kept = {key: list(value) for key, value in checked.items() if key in existing}
    write_durably(layout.checked, json.dumps(kept).encode(), 0o600)


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
