"""Folders as descriptors: reached without passing through a symlink, and used by descriptor from then on.

Whoever may write in a project could put a symlink where a folder or a file of ours is expected, and have root write
somewhere else. So every change goes through a descriptor of the folder that it is made in, and the kernel's own name
of that descriptor must be the name that was asked for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atftctl.host.errors import SymlinkError

GROUP_SHARED = stat.S_ISGID | stat.S_IWGRP


@contextmanager
def opened(folder: Path, *, readable: bool = False) -> Iterator[int]:
    """A descriptor of this folder, for the `dir_fd` of other calls; `readable`: to be listed or fsynced too. An OSError
    of the block names the whole path. Raises SymlinkError, OSError."""
    handle = os.open(folder, (os.O_RDONLY if readable else os.O_PATH) | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _refuse_symlinks(handle, folder)
        try:
            yield handle
        except OSError as error:
            if isinstance(error.filename, str) and not os.path.isabs(error.filename):
                error.filename = str(folder / error.filename)
            raise
    finally:
        os.close(handle)


def _refuse_symlinks(handle: int, path: Path) -> None:
    """Raises SymlinkError where the kernel knows what was opened by another name."""
    if (real := real_name(handle)) != os.path.abspath(path) and not real.endswith(" (deleted)"):
        raise SymlinkError(f"{path} leads through a symlink, to {real}")


def real_name(handle: int) -> str:
    """The path of an open file or folder, as the kernel has it."""
    return os.readlink(f"/proc/self/fd/{handle}")


def fsync_dir(path: Path) -> None:
    with opened(path, readable=True) as folder:
        os.fsync(folder)


def sync_file_system(path: Path) -> None:
    """All that was written to the file system of this folder is durable: for thousands of files at once, where an fsync
    each would take minutes. Linux reports what could not be written (since 5.8)."""
    import ctypes

    with opened(path, readable=True) as folder:
        if ctypes.CDLL(None, use_errno=True).syncfs(folder):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def make_dirs(path: Path, mode: int = 0o755) -> None:
    """`mkdir -p`, each new name durable in its parent. The mode is exact, whatever the umask; in a folder that a team
    shares (setgid, writable by its group) the group may use the new one too."""
    missing: list[Path] = []
    while not os.path.lexists(path):
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with opened(folder.parent, readable=True) as parent:
            try:
                os.mkdir(folder.name, mode, dir_fd=parent)
            except FileExistsError:
                continue
            with opened(folder, readable=True) as made:
                os.fchmod(made, shared_mode(mode, os.fstat(parent)))
                chown_like_parent(made, parent)
            os.fsync(parent)


def shared_mode(mode: int, parent: os.stat_result) -> int:
    """The mode of something new in a folder, where a team shares that folder: the group has the owner's rights."""
    if parent.st_mode & GROUP_SHARED != GROUP_SHARED:
        return mode
    return mode | (mode & stat.S_IRWXU) >> 3 | (stat.S_ISGID if mode & stat.S_IXUSR else 0)


def chown_like_parent(handle: int, parent: int) -> None:
    """What root makes in a user's folder is the user's, so that a rescue by root does not lock the user out."""
    if os.geteuid() != 0:
        return
    owner = os.fstat(parent)
    if (owner.st_uid, owner.st_gid) != (0, 0):
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.fchown(handle, owner.st_uid, owner.st_gid)
        if mode & stat.S_ISGID:
            os.fchmod(handle, mode)  # chown takes the setgid bit away


def remove_tree(path: Path) -> None:
    """A folder of ours and all in it; never follows a symlink."""
    try:
        facts = os.lstat(path)
        if stat.S_ISDIR(facts.st_mode):
            if stat.S_IMODE(facts.st_mode) & stat.S_IRWXU != stat.S_IRWXU:
                _open_up(path)
            with opened(path, readable=True) as folder:
                names = os.listdir(folder)
            for name in names:
                remove_tree(path / name)
        with opened(path.parent) as parent:
            if stat.S_ISDIR(facts.st_mode):
                os.rmdir(path.name, dir_fd=parent)
            else:
                os.unlink(path.name, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return


def _open_up(path: Path) -> None:
    """A folder that was closed by hand; whose it is may open it."""
    with opened(path) as folder:
        os.chmod(f"/proc/self/fd/{folder}", stat.S_IRWXU)
