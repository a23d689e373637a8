"""Remove snapshots: rename them to a hidden name first, so that every listed snapshot is whole even after a crash."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from atftctl.host import footprint
from atftctl.host.errors import reason
from atftctl.host.files.durable import rename
from atftctl.host.files.folders import fsync_dir, remove_tree
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

PARTIAL, GONE = ".partial", ".gone"  # endings of hidden names: a snapshot that is being taken, or removed
HIDDEN = ".atftctl-"  # how hidden names begin, but for a snapshot that is being taken: its name begins with its time
LEFTOVER = re.compile(r"\.(?:atftctl-(?P<name>.+)|\d{8}_\d{6}(?:_\d+)?)(?:\.partial|\.gone)", re.DOTALL)


def hide(layout: Layout, names: Iterable[str], gone: list[str]) -> None:
    """Remove snapshots from the list by renaming them; `sweep` deletes their files. Raises OSError.

    `gone`: receives the name of each removed snapshot, so that the caller knows after an OSError how far it got.
    """
    for name in names:
        rename(layout.snapshot(name), layout.backups / f"{HIDDEN}{name}{GONE}")
        gone.append(name)
        footprint.leave(tr("removed snapshot {snapshot}", snapshot=name))
    fsync_dir(layout.backups)


def sweep(layout: Layout) -> list[str]:
    """Delete the files of removed snapshots, and of those that a crash left unfinished. Called under the project lock.

    Returns a line for each one that can't be deleted; it disturbs nothing.
    """
    lines: list[str] = []
    for path, _ in _leftovers(layout):
        try:
            remove_tree(path)
        except OSError as error:
            lines.append(
                tr(
                    "{path} can't be deleted ({reason}); it only takes disk space",
                    path=path.relative_to(layout.root),
                    reason=reason(error),
                )
            )
    return lines


def half_removed(layout: Layout) -> list[str]:
    """Name the snapshots whose removal a crash interrupted: they are not listed, and `sweep` deletes their files."""
    return sorted(name for path, name in _leftovers(layout) if name and path.name.endswith(GONE))


def _leftovers(layout: Layout) -> list[tuple[Path, str]]:
    """List paths with a name that atftctl gives, and the snapshot that each belongs to. Other hidden files are kept."""
    try:
        names = os.listdir(layout.backups)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [(layout.backups / name, match["name"] or "") for name in names if (match := LEFTOVER.fullmatch(name))]
