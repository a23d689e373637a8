"""Copies that were made by hand with the guide's `cp` commands: config.yaml.backup,
model.pt.backup.20240101_120000."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from atftctl.domain.runbook import Files
from atftctl.domain.snapshot import Snapshot, SnapshotFile
from atftctl.host.copying.copier import hash_file
from atftctl.host.copying.zip_crc import ZipWatch, blank_checkpoint, checkpoint
from atftctl.host.errors import HostError, YamlError, reason
from atftctl.host.files.reading import read_bytes
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.protocol.messages import tr
from atftctl.state.layout import Layout

NAME = re.compile(r"^(?P<of>.+)\.backup(?:\.(?P<stamp>\d{8}_\d{6}))?$")


@dataclass(frozen=True)
class CpCopy:
    """One copy (`path`) of a file (`of`), in the same folder. `stamp`: the time in its name; "" for a name that ends in
    `.backup`. `modified`: as ISO 8601."""

    path: str
    of: str
    stamp: str
    size: int
    modified: str
    mode: int

    @property
    def created(self) -> str:
        """When it was made, as ISO 8601: the time in its name, else its modification time."""
        return datetime.strptime(self.stamp, "%Y%m%d_%H%M%S").astimezone().isoformat() if self.stamp else self.modified


def find_cp_copies(layout: Layout, files: Files) -> tuple[CpCopy, ...]:
    """The copies of the configs and models that the runbook names, oldest first. Their content is not read."""
    copies = []
    known = [Path(name) for name in (*files.configs, *files.models)]
    for folder in {name.parent for name in known}:
        try:
            entries = sorted(os.scandir(layout.root / folder), key=lambda entry: entry.name)
        except OSError:
            continue
        names = {name.name for name in known if name.parent == folder}
        for entry in entries:
            match = NAME.match(entry.name)
            if match and match["of"] in names and entry.is_file(follow_symlinks=False):
                path, of = str(folder / entry.name), str(folder / match["of"])
                copies.append(_cp_copy(path, of, match["stamp"], entry.stat()))
    return tuple(sorted(copies, key=lambda copy: (copy.created, copy.path)))


def _cp_copy(path: str, of: str, stamp: str | None, facts: os.stat_result) -> CpCopy:
    try:
        modified = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # touch -d 12000-01-01
        modified = "9999-12-31T23:59:59+00:00"
    try:
        datetime.strptime(stamp or "", "%Y%m%d_%H%M%S").astimezone()
    except (ValueError, OverflowError, OSError):  # 20249999_999999 is not a time
        stamp = ""
    return CpCopy(path, of, stamp or "", facts.st_size, modified, stat.S_IMODE(facts.st_mode))


def look_into(layout: Layout, copy: CpCopy) -> tuple[str, str]:
    """(SHA-256, what is wrong or ""). There is no recorded hash to compare with: a config must be valid YAML, and the
    CRCs in a checkpoint must be right."""
    watch = ZipWatch()
    try:
        path = layout.place(copy.path)
        digest = hash_file(path, watch=watch.start)
        if copy.of.endswith((".yaml", ".yml")) and read(read_bytes(path, MAX_BYTES + 1)).value is None:
            return digest, tr("the copy is empty")
    except YamlError as error:
        return digest, tr("the copy can't be read as YAML: {reason}", reason=error.message)
    except (OSError, HostError) as error:
        return "", tr("the copy can't be read: {reason}", reason=reason(error))
    if checkpoint(copy.of) and not watch.verdict:
        unknown = tr("the copy is not a checkpoint of torch.save: it can't be checked for damage")
        return digest, blank_checkpoint(copy.of, watch) or unknown
    return digest, watch.damage


def as_snapshot(layout: Layout, copy: CpCopy) -> tuple[Snapshot, str]:
    """(the copy as a snapshot of one file, so that it can be restored like any other; what is wrong with it or "")."""
    digest, wrong = look_into(layout, copy)
    file = SnapshotFile(copy.of, digest, copy.size, copy.mode, copy=copy.path)
    return Snapshot(copy.path, copy.created, "", tr("made by cp"), (file,)), wrong
