"""Take snapshots away: renamed out of sight first, so that every snapshot that is listed is whole, whatever dies in
between."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from atftctl.host import footprint
from atftctl.host.errors import reason
from atftctl.host.files.durable import rename
from atftctl.host.files.folders import fsync_dir, remove_tree
from atftctl.state.layout import Layout

PARTIAL, GONE = ".partial", ".gone"  # ends of hidden names: no snapshot yet, none any more
HIDDEN = ".atftctl-"  # how ours begin; those of a snapshot that is being taken are named by its time
LEFT = re.compile(r"\.(?:atftctl-(?P<name>.+)|\d{8}_\d{6}(?:_\d+)?)(?:\.partial|\.gone)", re.DOTALL)


def sweep(layout: Layout) -> list[str]:
    """What a crash left of snapshots that were being taken or taken away; a line for what can't be swept, which stands
    in nobody's way. Called under the lock."""
    left = []
    for path, _ in _left(layout):
        try:
            remove_tree(path)
        except OSError as error:
            left.append(f"{path.relative_to(layout.root)} can't be removed ({reason(error)}); it takes room, no more")
    return left


def half_removed(layout: Layout) -> list[str]:
    """Snapshots that were being taken away when a crash came: they are out of sight, and `sweep` takes the rest."""
    return sorted(name for path, name in _left(layout) if name and path.name.endswith(GONE))


def _left(layout: Layout) -> list[tuple[Path, str]]:
    """What bears a name of ours, and nothing else: other hidden things there are somebody's own."""
    try:
        names = os.listdir(layout.backups)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [(layout.backups / name, match["name"] or "") for name in names if (match := LEFT.fullmatch(name))]


def hide(layout: Layout, names: Iterable[str], gone: list[str]) -> None:
    """Out of sight, which is the end of them; `sweep` takes the bytes. `gone` grows as they go: who meets an OSError
    knows how far it went."""
    for name in names:
        rename(layout.snapshot(name), layout.backups / f"{HIDDEN}{name}{GONE}")
        gone.append(name)
        footprint.leave(f"removed snapshot {name}")
    fsync_dir(layout.backups)
