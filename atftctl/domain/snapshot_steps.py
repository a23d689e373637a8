"""The steps of a plan that take, pin, export or remove snapshots."""

from __future__ import annotations

from atftctl.domain.record import record
from atftctl.domain.text import size_text
from atftctl.protocol.messages import tr, trn


@record
class CopyFiles:
    """Take a snapshot that was asked for. `size`: bytes to copy. `linked`: the number of unchanged files, which share
    the copies of the snapshot before."""

    paths: tuple[str, ...]
    size: int
    linked: int

    def describe(self) -> str:
        return tr(
            "take a snapshot: copy {size}, share {linked} (unchanged) with the previous snapshot",
            size=size_text(self.size),
            linked=trn("{count} file", "{count} files", self.linked),
        )


@record
class PinSnapshot:
    """Pin a snapshot, or remove its pin."""

    id: str
    pinned: bool

    def describe(self) -> str:
        if self.pinned:
            return tr("pin snapshot {id}: backup prune never removes it", id=self.id)
        return tr("remove the pin of snapshot {id}", id=self.id)


@record
class ExportFiles:
    """Write files of a snapshot into a folder outside of the project. `size`: in bytes."""

    snapshot: str
    paths: tuple[str, ...]
    size: int
    folder: str

    def describe(self) -> str:
        return trn(
            "write {count} file of {snapshot} ({size}) to {folder}",
            "write {count} files of {snapshot} ({size}) to {folder}",
            len(self.paths),
            snapshot=self.snapshot,
            size=size_text(self.size),
            folder=self.folder,
        )


@record
class RemoveSnapshot:
    """Remove a snapshot. `label`: its label, or why it was taken. `frees`: bytes that no other snapshot shares."""

    id: str
    label: str
    frees: int

    def describe(self) -> str:
        if self.label:
            return tr("remove {id} ({label}): {size}", id=self.id, label=self.label, size=size_text(self.frees))
        return tr("remove {id}: {size}", id=self.id, size=size_text(self.frees))
