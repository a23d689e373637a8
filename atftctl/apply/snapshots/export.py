"""A snapshot's files into a folder of their own: beside it first, then renamed, so that it is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from atftctl.domain.errors import Refused, Restored
from atftctl.domain.snapshot import Snapshot, SnapshotFile
from atftctl.host.copying.copier import Progress, copy_new
from atftctl.host.errors import HostError, reason
from atftctl.host.files.containment import resolve_inside
from atftctl.host.files.durable import rename, write_link
from atftctl.host.files.fingerprint import LINK
from atftctl.host.files.folders import fsync_dir, make_dirs, remove_tree
from atftctl.host.files.reading import free_bytes
from atftctl.state.layout import Layout


def export(layout: Layout, snapshot: Snapshot, files: Sequence[SnapshotFile], folder: Path, progress: Progress) -> None:
    """Raises Refused where the folder holds something, Restored where a copy is damaged; nothing is left behind."""
    folder = folder.parent.resolve() / folder.name
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise Refused(f"{folder} is there already, and not an empty folder", hint="name a new one")
    if not folder.parent.is_dir():
        raise Refused(f"{folder.parent} is no folder")
    if sum(file.size for file in files) > free_bytes(folder.parent):
        raise Refused(f"no room in {folder.parent}")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        make_dirs(partial, 0o700)
        for file in files:
            _one(layout, snapshot, file, resolve_inside(partial, file.path), progress)
        folders = {
            parent for file in files for parent in (partial / file.path).parents if parent.is_relative_to(partial)
        }
        for one in folders:
            fsync_dir(one)
        rename(partial, folder)
        fsync_dir(folder.parent)
    except OSError as error:
        remove_tree(partial)
        raise Restored(f"{reason(error)}: {error.filename or folder}", state=f"{folder} was not made") from error
    except BaseException:
        remove_tree(partial)
        raise


def _one(layout: Layout, snapshot: Snapshot, file: SnapshotFile, target: Path, progress: Progress) -> None:
    make_dirs(target.parent, 0o700)
    if file.is_link:
        write_link(target, file.sha256.removeprefix(LINK))
        return
    try:
        copied = copy_new(layout.root / snapshot.where(file), target, file.mode, progress=progress, keep_time=True)
    except HostError as error:
        raise Restored(str(error), state="nothing was written") from None
    if copied.sha256 != file.sha256:
        raise Restored(
            f"the copy of {file.path} in {snapshot.id} is damaged",
            state="nothing was written",
            hint="atftctl backup verify --all shows the whole ones",
        )
