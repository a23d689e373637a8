"""A project whose files are old enough that a snapshot trusts their times."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest


@pytest.fixture
def settled(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a project whose files were last changed a day ago.

    The time of an inode's own change can't be set back, so the rule that looks at it is switched off.
    """
    monkeypatch.setattr("atftctl.apply.snapshots.copier.mtime_settled", lambda source: True)
    yesterday = time.time() - 86_400
    for folder in (root / "configs", root / "models"):
        for file in folder.rglob("*"):
            os.utime(file, (yesterday, yesterday))
    return root
