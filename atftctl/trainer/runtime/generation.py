"""The generation of this trainer: the number of its start, and the folder that its files are staged in.

A trainer that was taken for lost may go on later, when a newer one trains in the same run folder. Two things keep it
from replacing the newer one's checkpoints: it compares its number with the newest one before it saves, and it renames
its files out of a folder that the newer start has renamed (protocol/generations.py). The first lets it leave with a
reason; the second holds even if it was stopped between the comparison and the rename.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from atftctl import protocol
from atftctl.hooks.reporter import DEFAULT_ACL, MARK_TEXT, Fence, is_folder, read_mark


class Generation(Fence):
    """The number of this start in one run folder, as the hooks have it. The trainer shares its staging folder with its
    checkpoints more often: it looks at the mounts, groups and access control lists of both folders."""

    def own_folders(self) -> list[Path]:
        """Return the folders of this generation that are there."""
        folders = (self.shared_folder, self.beside((self._root / protocol.LAST).parent))
        return [folder for folder in folders if is_folder(folder) and read_mark(folder) == MARK_TEXT]

    def may_share(self, target_folder: Path) -> bool:
        """Can a file be renamed from the run folder into the target's?"""
        return _same_file_system(self._root, target_folder)

    def same_rights(self, target_folder: Path) -> bool:
        """Would a new file get the same group and access control list in either folder?"""
        return _same_rights(self.shared_folder, target_folder)


def _same_file_system(folder: Path, other: Path) -> bool:
    """Can a file be renamed from one folder into the other? Two mounts of one file system count as two."""
    return folder.stat().st_dev == other.stat().st_dev and _mount(folder) == _mount(other)


def _mount(folder: Path) -> str:
    """The kernel's number of the mount that the folder lies on; "" where that can't be read."""
    handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        lines = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    except OSError:
        return ""
    finally:
        os.close(handle)
    return next((line for line in lines if line.startswith("mnt_id:")), "")


def _same_rights(folder: Path, target_folder: Path) -> bool:
    staging, target = folder.stat(), target_folder.stat()
    if target.st_mode & stat.S_ISGID and (not staging.st_mode & stat.S_ISGID or staging.st_gid != target.st_gid):
        return False
    return _default_acl(folder) == _default_acl(target_folder)


def _default_acl(folder: Path) -> bytes:
    try:
        return os.getxattr(folder, DEFAULT_ACL)
    except OSError:
        return b""
