"""Pins: snapshots that retention keeps."""

from __future__ import annotations

from atftctl.apply.snapshots.remove import HIDDEN, PARTIAL
from atftctl.host import footprint
from atftctl.host.errors import HostError
from atftctl.host.files.durable import remove, rename, write_new
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import read_bytes
from atftctl.state.layout import PIN, Layout


def pin(layout: Layout, name: str, words: str) -> None:
    """Kept whatever the retention says. A marker beside the manifest, which itself never changes."""
    partial = layout.backups / f"{HIDDEN}{name}{PARTIAL}"  # where `sweep` finds it, and no snapshot holds a stray
    write_new(partial, words.encode("utf-8", "replace"), 0o600)
    rename(partial, layout.snapshot(name) / PIN)
    footprint.leave(f"pinned snapshot {name}")
    fsync_dir(layout.snapshot(name))


def needed_by(operation: str) -> str:
    """What a pin says of a snapshot whose copies an operation is going back to."""
    return f"operation {operation} is going back to it\n"


def unpin_after(layout: Layout, name: str, operation: str) -> None:
    """Take the pin away that `operation` set, and no other. Best effort: a pin that stays does no harm."""
    try:
        if read_bytes(layout.snapshot(name) / PIN, 4096) == needed_by(operation).encode():
            unpin(layout, name)
    except (OSError, HostError):
        return


def unpin(layout: Layout, name: str) -> bool:
    """True if it was pinned."""
    gone = remove(layout.snapshot(name) / PIN)
    if gone:
        footprint.leave(f"unpinned snapshot {name}")
        fsync_dir(layout.snapshot(name))
    return gone
