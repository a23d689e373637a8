"""Copy a snapshot's files to a new folder: first under a hidden name, then renamed, so that it is never incomplete."""

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
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout


def export(layout: Layout, snapshot: Snapshot, files: Sequence[SnapshotFile], folder: Path, progress: Progress) -> None:
    """Copy these files of a snapshot to `folder`. On an error nothing is left behind.

    Raises Refused where the folder exists and is not empty, or does not fit on the disk; Restored where a copy is
    damaged.
    """
    folder = folder.parent.resolve() / folder.name
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise Refused(
            tr("{folder} exists and is not an empty folder", folder=folder),
            hint=tr("choose a folder that does not exist"),
        )
    if not folder.parent.is_dir():
        raise Refused(tr("{folder} is not a folder", folder=folder.parent))
    if sum(file.size for file in files) > free_bytes(folder.parent):
        raise Refused(tr("not enough disk space in {folder}", folder=folder.parent))
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        make_dirs(partial, 0o700)
        for file in files:
            _copy(layout, snapshot, file, resolve_inside(partial, file.path), progress)
        folders = {
            parent for file in files for parent in (partial / file.path).parents if parent.is_relative_to(partial)
        }
        for parent in folders:
            fsync_dir(parent)
        rename(partial, folder)
        fsync_dir(folder.parent)
    except OSError as error:
        remove_tree(partial)
        raise Restored(
            tr("{reason}: {path}", reason=reason(error), path=error.filename or folder),
            state=tr("{folder} was not created", folder=folder),
        ) from error
    except BaseException:
        remove_tree(partial)
        raise


def _copy(layout: Layout, snapshot: Snapshot, file: SnapshotFile, target: Path, progress: Progress) -> None:
    make_dirs(target.parent, 0o700)
    if file.is_link:
        write_link(target, file.sha256.removeprefix(LINK))
        return
    try:
        copied = copy_new(layout.root / snapshot.where(file), target, file.mode, progress=progress, keep_time=True)
    except HostError as error:
        raise Restored(reason(error), state=tr("nothing was written")) from None
    if copied.sha256 != file.sha256:
        raise Restored(
            tr("the copy of {path} in snapshot {snapshot} is damaged", path=file.path, snapshot=snapshot.id),
            state=tr("nothing was written"),
            hint=tr("look for undamaged copies with: atftctl backup verify --all"),
        )
