"""Taking a snapshot: plain copies, hashed while they are copied, the manifest last, the folder renamed into place
when whole."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from atftctl.domain.errors import PutBack
from atftctl.domain.facts import Snapshot, SnapshotFile
from atftctl.host import git
from atftctl.host.files import (
    fsync_dir,
    inside,
    make_dirs,
    remove,
    remove_tree,
    write_durably,
    write_new,
)
from atftctl.host.layout import Layout

VERSION = 1
TRIES = 3


def take(
    layout: Layout,
    paths: Sequence[str],
    *,
    now: datetime,
    label: str = "",
    reason: str = "",
    operation: str = "",
    runbook_sha256: str = "",
    config_digest: str = "",
) -> Snapshot:
    """A snapshot of these files; a file that is not there is left out. Raises PutBack for one that never holds
    still."""
    make_dirs(layout.backups, 0o700)
    sweep(layout)
    name = _free_name(layout, now)
    partial = layout.backups / f".{name}.partial"
    make_dirs(partial, 0o700)
    try:
        files = [file for path in paths if (file := _copy(layout.root, partial, path))]
        commit, dirty = git.head(layout.root)
        manifest = {
            "version": VERSION,
            "created": now.astimezone(UTC).isoformat(timespec="microseconds"),
            "label": label,
            "reason": reason,
            "operation": operation,
            "commit": commit,
            "dirty": dirty,
            "runbook_sha256": runbook_sha256,
            "config_digest": config_digest,
            "files": [vars(file) for file in files],
        }
        write_durably(partial / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False).encode())
        for folder in sorted({(partial / file.path).parent for file in files}, key=lambda one: -len(one.parts)):
            _fsync_up(folder, partial)
        os.rename(partial, layout.backups / name)
        fsync_dir(layout.backups)
    except BaseException:
        remove_tree(partial)
        raise
    return Snapshot(name, str(manifest["created"]), label, reason, tuple(files), commit, operation=operation)


def _copy(root: Path, folder: Path, path: str) -> SnapshotFile | None:
    """One file into the snapshot. A source that changes while it is copied is taken again, then refused by name."""
    source, copy = inside(root, path), folder / path
    make_dirs(copy.parent, 0o700)
    for _ in range(TRIES):
        try:
            before = source.stat()
            digest = write_new(copy, source, stat.S_IMODE(before.st_mode) & 0o555)
            after = source.stat()
        except FileNotFoundError:
            remove(copy)
            return None
        if _same(before, after):
            return SnapshotFile(path, digest, before.st_size, stat.S_IMODE(before.st_mode))
        remove(copy)
    raise PutBack(f"{path} changes while it is copied ({TRIES} tries)", stands="no snapshot was taken")


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_ino, before.st_size, before.st_mtime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )


def _free_name(layout: Layout, now: datetime) -> str:
    """The timestamp of the guide's copies; a second snapshot in the same second gets a number."""
    stamp = now.strftime("%Y%m%d_%H%M%S")
    name, number = stamp, 1
    while (layout.backups / name).exists():
        number += 1
        name = f"{stamp}_{number}"
    return name


def sweep(layout: Layout) -> None:
    """Half snapshots of a crash. Called under the lock, so that none of them is being written."""
    for path in layout.backups.glob(".*.partial"):
        remove_tree(path)


def _fsync_up(folder: Path, top: Path) -> None:
    while True:
        fsync_dir(folder)
        if folder == top:
            return
        folder = folder.parent
