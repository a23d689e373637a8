"""Pin and unpin snapshots. Retention keeps pinned snapshots."""

from __future__ import annotations

from atftctl.apply.snapshots.remove import HIDDEN, PARTIAL
from atftctl.host import footprint
from atftctl.host.errors import HostError
from atftctl.host.files.durable import remove, rename, write_new
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import tr
from atftctl.state.layout import PIN, Layout


def pin(layout: Layout, name: str, note: str) -> None:
    """Pin a snapshot by a marker file beside its manifest, which never changes. Raises OSError, HostError.

    `note`: why, for people.
    """
    partial = layout.backups / f"{HIDDEN}{name}{PARTIAL}"  # outside of the snapshot, where `sweep` removes leftovers
    write_new(partial, note.encode("utf-8", "replace"), 0o600)
    rename(partial, layout.snapshot(name) / PIN)
    footprint.leave(tr("pinned snapshot {snapshot}", snapshot=name))
    fsync_dir(layout.snapshot(name))


def unpin(layout: Layout, name: str) -> bool:
    """Remove the pin; False where the snapshot was not pinned. Raises OSError."""
    was_pinned = remove(layout.snapshot(name) / PIN)
    if was_pinned:
        footprint.leave(tr("unpinned snapshot {snapshot}", snapshot=name))
        fsync_dir(layout.snapshot(name))
    return was_pinned


def needed_by(operation: str) -> str:
    """Return the note of a pin that an operation sets on the snapshot that it goes back to."""
    return f"operation {operation} is going back to it\n"


def unpin_after(layout: Layout, name: str, operation: str) -> None:
    """Remove the pin if this operation set it. Best effort: a pin that stays does no harm."""
    try:
        if read_bytes(layout.snapshot(name) / PIN, 4096) == needed_by(operation).encode():
            unpin(layout, name)
    except (OSError, HostError):
        return
