"""Folders of checkpoints in a snapshot: each is there whole, as it was at one moment, or it is not there at all.

A trainer may write into a folder while it is copied, or remove it (it keeps the newest few). Each file by itself would
still be copied well; together they would be no checkpoint.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from atftctl.apply.snapshots.copier import TRIES, Copier
from atftctl.domain.checkpoint import is_pattern
from atftctl.domain.errors import Restored
from atftctl.domain.snapshot import SnapshotFile
from atftctl.domain.units import held_by, unit_of
from atftctl.host.files.durable import remove
from atftctl.host.files.fingerprint import LINK
from atftctl.host.files.folders import remove_tree
from atftctl.protocol.messages import Message, tr

PAUSE_S = 0.2  # before a folder that is being written or removed is looked at again
Listing = Callable[[str], Sequence[str]]  # the files that are there now, by the name of a folder or a pattern
Stamp = tuple[int, int, str]  # size, time of the last change in ns, target of a symlink


@dataclass
class Units:
    """Makes whole what was copied. names: folders and patterns of the runbook. needed: files that must stay in the
    snapshot, since the operation replaces them. files: what was copied, by path. copy: copies one more file."""

    copier: Copier
    names: Sequence[str]
    listing: Listing
    needed: frozenset[str]
    files: dict[str, SnapshotFile | None]
    left_out: dict[str, str]
    copy: Callable[[str], None]

    def settle(self, paths: Iterable[str]) -> None:
        """Compare each folder with what was copied of it, copy again what has changed, and leave out a folder that is
        gone. Raises Restored where a folder that the runbook names by its path keeps changing."""
        first: dict[str, set[str]] = {}
        for path in paths:
            if folder := unit_of(self.names, path):
                first.setdefault(folder, set()).add(path)
        for folder, listed in first.items():
            if reason := self._settle(folder, listed):
                self._leave_out(folder, reason)

    def _settle(self, folder: str, listed: set[str]) -> Message | None:
        """Why the folder is left out; None where the snapshot holds it as it is."""
        for _ in range(TRIES):
            present = self._present(folder)
            if reason := self._loss(folder, listed, present):
                return reason
            held = {path: _held(file) for path in self._copied(folder) if (file := self.files[path])}
            if held == present:
                return None
            stale = [path for path, stamp in present.items() if held.get(path) != stamp]
            self._drop(held.keys() - present.keys() | set(stale))
            for path in stale:
                self.copy(path)
                if path in self.left_out:
                    return tr("{path}: {reason}", path=path, reason=self.left_out[path])
            listed = set(present)
        reason = tr("it keeps changing while it is copied ({tries} attempts)", tries=TRIES)
        if folder in self.names and not is_pattern(folder):
            raise Restored(tr("{path}: {reason}", path=folder, reason=reason), state=tr("no snapshot was taken"))
        return reason

    def _loss(self, folder: str, listed: set[str], present: Mapping[str, Stamp]) -> Message | None:
        """Say that files were removed from the folder and none came in their place; None where that is not so."""
        if not (lost := sorted(listed - present.keys())):
            return None
        time.sleep(PAUSE_S)
        if not self.listing(folder):
            return tr("it was removed while it was copied")
        if present.keys() <= listed:
            return tr("{path} was removed from it while it was copied", path=lost[0])
        return None

    def _present(self, folder: str) -> dict[str, Stamp]:
        return {path: stamp for path in self.listing(folder) if (stamp := self._live(path))}

    def _live(self, path: str) -> Stamp | None:
        try:
            facts = os.lstat(self.copier.layout.root / path)
            if stat.S_ISLNK(facts.st_mode):
                return 0, 0, os.readlink(self.copier.layout.root / path)
        except OSError:
            return None
        return facts.st_size, facts.st_mtime_ns, ""

    def _copied(self, folder: str) -> list[str]:
        return [path for path, file in self.files.items() if file and held_by(folder, path)]

    def _drop(self, paths: Iterable[str]) -> None:
        for path in paths:
            remove(self.copier.folder / path)
            self.files[path] = None

    def _leave_out(self, folder: str, reason: Message) -> None:
        copied = self._copied(folder)
        self._drop(path for path in copied if path not in self.needed)
        if not self.needed & set(copied):
            remove_tree(self.copier.folder / folder)
        self.left_out[folder] = reason
        self.copier.note(tr("{path} is left out of the snapshot: {reason}", path=folder, reason=reason))


def _held(file: SnapshotFile) -> Stamp:
    return (0, 0, file.sha256.removeprefix(LINK)) if file.is_link else (file.size, file.mtime_ns, "")
