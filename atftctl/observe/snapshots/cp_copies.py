"""The copies that the guide's `cp` lines made: config.yaml.backup, best_model.pth.backup.20240101_120000."""

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
from atftctl.state.layout import Layout

NAME = re.compile(r"^(?P<of>.+)\.backup(?:\.(?P<stamp>\d{8}_\d{6}))?$")


@dataclass(frozen=True)
class CpCopy:
    """One copy beside the file that it was made of. `stamp` is "" for a bare `.backup`, whose age nobody wrote down."""

    path: str
    of: str
    stamp: str
    size: int
    modified: str
    mode: int

    @property
    def created(self) -> str:
        return datetime.strptime(self.stamp, "%Y%m%d_%H%M%S").astimezone().isoformat() if self.stamp else self.modified


def find_cp_copies(layout: Layout, files: Files) -> tuple[CpCopy, ...]:
    """Beside each file that the runbook names, oldest first. Reads no copy."""
    found = []
    known = [Path(name) for name in (*files.configs, *files.models)]
    for folder in {name.parent for name in known}:
        try:
            entries = sorted(os.scandir(layout.root / folder), key=lambda one: one.name)
        except OSError:
            continue
        names = {name.name for name in known if name.parent == folder}
        for entry in entries:
            match = NAME.match(entry.name)
            if match and match["of"] in names and entry.is_file(follow_symlinks=False):
                found.append(
                    _handmade(str(folder / entry.name), str(folder / match["of"]), match["stamp"], entry.stat())
                )
    return tuple(sorted(found, key=lambda one: (one.created, one.path)))


def _handmade(path: str, of: str, stamp: str | None, facts: os.stat_result) -> CpCopy:
    try:
        modified = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # touch -d 12000-01-01
        modified = "9999-12-31T23:59:59+00:00"
    try:
        datetime.strptime(stamp or "", "%Y%m%d_%H%M%S").astimezone()
    except (ValueError, OverflowError, OSError):  # 20249999_999999 is a name, and no time
        stamp = ""
    return CpCopy(path, of, stamp or "", facts.st_size, modified, stat.S_IMODE(facts.st_mode))


def look_into(layout: Layout, one: CpCopy) -> tuple[str, str]:
    """(SHA-256, what is wrong or ""). Nobody wrote its hash down: a config must read, a checkpoint's CRCs must hold."""
    watch = ZipWatch()
    try:
        digest = hash_file(layout.place(one.path), watch=watch.start)
        if one.of.endswith((".yaml", ".yml")) and read(read_bytes(layout.place(one.path), MAX_BYTES + 1)).value is None:
            return digest, "it is empty"
    except YamlError as error:
        return digest, f"it can't be read as YAML: {error}"
    except (OSError, HostError) as error:
        return "", f"it can't be read: {reason(error)}"
    if checkpoint(one.of) and not watch.verdict:
        return digest, blank_checkpoint(
            one.of, watch
        ) or "it is no checkpoint of torch.save: nothing can tell whether it is whole"
    return digest, watch.damage


def as_snapshot(layout: Layout, one: CpCopy) -> tuple[Snapshot, str]:
    """The copy as a snapshot of one file, to be restored like any other; and what is wrong with it."""
    digest, wrong = look_into(layout, one)
    file = SnapshotFile(one.of, digest, one.size, one.mode, copy=one.path)
    return Snapshot(one.path, one.created, "", "made by cp", (file,)), wrong
