"""The generation of this trainer: the number of its start, and the folder that its files are staged in.

A trainer that was taken for lost may go on later, when a newer one trains in the same run folder. Two things keep it
from replacing the newer one's checkpoints: it compares its number with the newest one before it saves, and it renames
its files out of a folder that the newer start has renamed (protocol/generations.py). The first lets it leave with a
reason; the second holds even if it was stopped between the comparison and the rename.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from atftctl import protocol
from atftctl.protocol import generations
from atftctl.trainer.errors import FencedError

SHARED = stat.S_ISGID | stat.S_IWGRP
DEFAULT_ACL = "system.posix_acl_default"


class Generation:
    """The number of this start in one run folder. A trainer that was started by hand has the number 0; it counts as
    fenced when a trainer is started after it."""

    def __init__(self, root: Path) -> None:
        self.number = generations.own(os.environ, root)
        self._root = root
        self._known = self.number or generations.newest(root)
        self._only_beside = False

    def problem(self) -> FencedError | None:
        """Return the error that a newer trainer was started; None where none was, or the counter can't be read."""
        newest = generations.newest(self._root)
        if newest <= self._known:
            return None
        own = self.number or "started by hand"
        return FencedError(f"trainer generation {newest} was started after this one ({own})", newest)

    def check(self) -> None:
        """Raises FencedError where a newer trainer was started."""
        if problem := self.problem():
            raise problem

    def stage(self, target: Path) -> Path:
        """Return the path for a new file that is to replace `target`, in the folder of this generation.

        Raises FencedError; OSError where there can be no such folder.
        """
        self.check()
        folder = self._folder(target.parent)
        return folder / f".{target.name}.{secrets.token_hex(4)}.{os.getpid()}.tmp"

    def publish(self, staged: Path, target: Path) -> None:
        """Rename a staged file to `target`. Raises FencedError where a newer trainer was started; OSError."""
        self.check()
        try:
            staged.replace(target)
        except FileNotFoundError:
            self.refuse_fenced(staged.parent)
            raise

    def refuse_fenced(self, folder: Path) -> None:
        """Raises FencedError where this folder of staged files is missing because it was renamed."""
        self.check()
        if self.number and generations.fenced(folder):
            raise FencedError(f"the folder {folder.name} of this trainer was renamed: it counts as stopped")

    def stage_beside(self, error: OSError) -> bool:
        """Stage beside the target from now on, if this error says that a rename from the run folder can't work; return
        whether that is new."""
        new = error.errno == errno.EXDEV and not self._only_beside
        self._only_beside |= new
        return new

    def own_folders(self) -> list[Path]:
        """Return the folders of this generation that are there."""
        folders = (self._shared_folder, self._beside((self._root / protocol.LAST).parent))
        return [folder for folder in folders if _is_folder(folder) and _is_marked(folder)]

    @property
    def _shared_folder(self) -> Path:
        return self._root / protocol.STAGING / str(self.number)

    def _beside(self, target_folder: Path) -> Path:
        return target_folder / f"{generations.BESIDE}{self.number}"

    def _folder(self, target_folder: Path) -> Path:
        """The folder to stage in: a file in it must get the group and the access control list of its target."""
        if not self._only_beside and _same_file_system(self._root, target_folder):
            with suppress(OSError):
                self._make_shared()
                # Another user may have made it: the one who starts trainers, and has more rights here than the trainer.
                writable = os.access(self._shared_folder, os.W_OK | os.X_OK)
                if writable and _same_rights(self._shared_folder, target_folder):
                    return self._shared_folder
        beside = self._beside(target_folder)
        self._make(beside)
        return beside

    def _make_shared(self) -> None:
        parent = self._shared_folder.parent
        if not _is_folder(parent):
            _new_folder(parent)
        self._make(self._shared_folder)

    def _make(self, folder: Path) -> None:
        """Make the folder where it is missing and was not renamed. Raises FencedError; FileExistsError where somebody
        else has made it; OSError."""
        if _is_folder(folder):
            if _is_marked(folder):
                return
            if not _is_empty(folder):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        else:
            self.refuse_fenced(folder)
            _new_folder(folder)
        try:
            (folder / generations.MARK).write_bytes(generations.MARK_TEXT)
        except FileNotFoundError:
            self.refuse_fenced(folder)
            raise
        # After the folder is there: a start that is not seen now comes later, finds the folder and renames it.
        self.check()


def _is_folder(path: Path) -> bool:
    """Is this a folder, and not a symlink to one?"""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_marked(folder: Path) -> bool:
    return generations.is_mark(_mark(folder) or b"")


def _mark(folder: Path) -> bytes | None:
    """The content of the folder's mark; None where there is no such regular file."""
    try:
        handle = os.open(folder / generations.MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        try:
            return file.read(generations.LONGEST) if stat.S_ISREG(os.fstat(handle).st_mode) else None
        except OSError:
            return None


def _is_empty(folder: Path) -> bool:
    """Is nothing in this folder but, at most, the beginning of a mark, as after a crash or on a full disk?"""
    names = [path.name for path in folder.iterdir()]
    if names == [generations.MARK]:
        text = _mark(folder)
        return text == b"" or generations.is_begun_mark(text or b"")
    return not names


def _new_folder(path: Path) -> None:
    """Make a folder; a team that shares the folder above it shares this one, too. Raises FileExistsError for any file
    of that name; OSError."""
    path.mkdir()
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & SHARED == SHARED:
        path.chmod(mode)


def _same_file_system(one: Path, other: Path) -> bool:
    """Can a file be renamed from one folder into the other? Two mounts of one file system count as two."""
    return one.stat().st_dev == other.stat().st_dev and _mount(one) == _mount(other)


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
    """Would a new file get the same group and access control list in either folder?"""
    staging, target = folder.stat(), target_folder.stat()
    if target.st_mode & stat.S_ISGID and (not staging.st_mode & stat.S_ISGID or staging.st_gid != target.st_gid):
        return False
    return _default_acl(folder) == _default_acl(target_folder)


def _default_acl(folder: Path) -> bytes:
    try:
        return os.getxattr(folder, DEFAULT_ACL)
    except OSError:
        return b""
