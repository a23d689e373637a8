"""Copy files into a snapshot. An unchanged file becomes a hard link to the previous snapshot's copy.

It never becomes a link to the project's own file: `torch.save` over an existing path writes into the same inode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from atftctl.domain.errors import Restored
from atftctl.domain.snapshot import LinkPolicy, SnapshotFile
from atftctl.host.copying.copier import Progress, copy_new, hash_file
from atftctl.host.copying.zip_crc import ZipWatch, blank_checkpoint
from atftctl.host.errors import ChangedError, HostError, reason
from atftctl.host.files.attributes import read_metadata
from atftctl.host.files.containment import Within, locate
from atftctl.host.files.durable import remove, write_link
from atftctl.host.files.fingerprint import LINK, Identity, allocated, identity, inode_key, mtime_settled
from atftctl.host.files.folders import make_dirs, opened
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

TRIES = 3


@dataclass(frozen=True)
class Copier:
    """Fills the folder of a new snapshot."""

    layout: Layout
    folder: Path
    reliance: LinkPolicy
    now: datetime
    progress: Progress
    note: Callable[[str], None]
    copied: set[str] = field(default_factory=set)  # paths that were copied, not linked

    @cached_property
    def _within(self) -> Within:
        return Within(self.layout.root, self.layout.outside)

    def take(self, path: str, *, durable: bool = True) -> SnapshotFile | None:
        """Copy or link a file and return its entry, or None where the file is gone.

        A file that changes while it is copied is copied again. Raises Restored where it keeps changing; HostError,
        OSError.
        """
        source, copy = self._within(path), self.folder / path
        for _ in range(TRIES):
            try:
                facts = os.lstat(source)
                make_dirs(copy.parent, 0o700)
                if stat.S_ISLNK(facts.st_mode):
                    return self._symlink(path, source, copy)
                linked = self._link(path, copy, identity(facts))
                return linked or self._copy(path, source, copy, facts.st_mode, durable=durable)
            except (FileNotFoundError, NotADirectoryError):
                remove(copy)
                return None
            except ChangedError:
                remove(copy)
        raise Restored(
            tr("{path} keeps changing while it is copied ({tries} attempts)", path=path, tries=TRIES),
            state=tr("no snapshot was taken"),
        )

    def _symlink(self, path: str, source: Path, copy: Path) -> SnapshotFile:
        """Copy a symlink as a symlink; its target is a path of its own in the snapshot."""
        target = os.readlink(source)
        write_link(copy, target)
        return SnapshotFile(path, f"{LINK}{target}", 0, 0o777)

    def _copy(self, path: str, source: Path, copy: Path, mode: int, *, durable: bool) -> SnapshotFile:
        watch = ZipWatch()
        done = copy_new(
            source, copy, mode & 0o555, watch=watch.start, progress=self.progress, keep_time=True, durable=durable
        )
        if damage := watch.damage or blank_checkpoint(path, watch):
            self.note(
                tr("{path} is damaged in the project itself ({damage}); copied as it is", path=path, damage=damage)
            )
        self.copied.add(path)
        return SnapshotFile(
            path=path,
            sha256=done.sha256,
            size=done.size,
            mode=stat.S_IMODE(mode),
            mtime_ns=done.source[3],
            checked=_utc(self.now),
            zip=watch.verdict or blank_checkpoint(path, watch),
            kept=read_metadata(source),
            source=done.source if mtime_settled(done.source) else None,
        )

    def _link(self, path: str, copy: Path, live: Identity) -> SnapshotFile | None:
        """Link to the previous snapshot's copy. None where that is impossible, or where that copy is damaged."""
        earlier = linkable(self.layout, self.reliance, path, live)
        if earlier is None:
            return None
        before, file = earlier
        checked = self.reliance.last_checked(inode_key(os.lstat(before)), file)
        if self.reliance.due(checked, self.now):
            if not self._is_whole(before, file):
                return None
            checked = _utc(self.now)
        try:
            with opened(before.parent) as old, opened(copy.parent) as new:
                os.link(before.name, copy.name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
        except (OSError, HostError):  # the copy is gone, has too many links, or the file system has no hard links
            return None
        return replace(file, checked=checked)

    def _is_whole(self, before: Path, file: SnapshotFile) -> bool:
        """Check the copy's hash, so that a damaged copy is not linked into more snapshots."""
        try:
            if hash_file(before) == file.sha256:
                return True
            why: str = tr("its hash differs from the recorded one")
        except (OSError, HostError) as error:
            why = reason(error)
        self.note(
            tr(
                "{copy} is damaged ({reason}): copied from the project instead; check all copies with: atftctl backup "
                "verify --all",
                copy=before.relative_to(self.layout.root),
                reason=why,
            )
        )
        return False


def linkable(layout: Layout, reliance: LinkPolicy, path: str, live: Identity) -> tuple[Path, SnapshotFile] | None:
    """Find the previous snapshot's copy of a file that, by its times, has not changed since. None where there is none,
    or where the copy's own size or time has changed."""
    latest = reliance.latest_copy(path)
    if latest is None or latest[1].source != live:
        return None
    snapshot, file = latest
    before = layout.snapshot(snapshot.id) / path
    try:
        facts = os.lstat(before)
    except OSError:
        return None
    untouched = stat.S_ISREG(facts.st_mode) and (facts.st_size, facts.st_mtime_ns) == (file.size, file.mtime_ns)
    return (before, file) if untouched and identity(facts)[:2] != live[:2] else None


def room_needed(layout: Layout, reliance: LinkPolicy, paths: Iterable[str]) -> dict[str, int]:
    """Return how many bytes on disk copying each path takes: 0 where it can be linked; holes are not counted."""
    needed, plain = {}, dict[str, Path]()
    for path in paths:
        try:
            located = locate(layout.root, path, layout.outside, plain=plain)
            facts = os.lstat(located.real)
        except (OSError, HostError):  # gone or not readable: the copying reports it
            continue
        path = located.path  # noqa: PLW2901 - a symlink's target is what is copied
        copied = linkable(layout, reliance, path, identity(facts)) is None
        needed[path] = allocated(facts) if copied else 0
    return needed


def _utc(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="microseconds")
