"""Folders opened as descriptors without following a symlink. All changes in them are made through the descriptor.

A user who may write in a project could replace one of our folders or files by a symlink, and root would write somewhere
else. So every change is made through a descriptor of its folder, and the kernel's name of that descriptor must be the
path that was asked for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atftctl.host.errors import SymlinkError
from atftctl.protocol.messages import tr

GROUP_SHARED = stat.S_ISGID | stat.S_IWGRP


@contextmanager
def opened(folder: Path, *, readable: bool = False) -> Iterator[int]:
    """Open a folder: a descriptor for the `dir_fd` of other calls. `readable`: so that it can be listed and fsynced
    too. The path in an OSError of the block is made absolute. Raises SymlinkError, OSError."""
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


def real_name(handle: int) -> str:
    """The path of an open file or folder, as the kernel knows it."""
    return os.readlink(f"/proc/self/fd/{handle}")


def fsync_dir(path: Path) -> None:
    """Make the names in a folder durable. Raises SymlinkError, OSError."""
    with opened(path, readable=True) as folder:
        os.fsync(folder)


def sync_file_system(path: Path) -> None:
    """Make everything durable that was written to the file system of this folder: for thousands of files, where an
    fsync for each would take minutes. Raises OSError where something could not be written (Linux 5.8 and later report
    it)."""
    import ctypes

    with opened(path, readable=True) as folder:
        if ctypes.CDLL(None, use_errno=True).syncfs(folder):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))


def make_dirs(path: Path, mode: int = 0o755) -> None:
    """As `mkdir -p`, durably. The umask does not change the mode; in a folder that a team shares (setgid, writable by
    its group) the group gets the owner's rights. Raises SymlinkError, OSError."""
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
            with opened(folder, readable=True) as new:
                os.fchmod(new, shared_mode(mode, os.fstat(parent)))
                chown_like_parent(new, parent)
            os.fsync(parent)


def shared_mode(mode: int, parent: os.stat_result) -> int:
    """The mode of a new file or folder in `parent`: where a team shares it, the group gets the owner's rights."""
    if parent.st_mode & GROUP_SHARED != GROUP_SHARED:
        return mode
    return mode | (mode & stat.S_IRWXU) >> 3 | (stat.S_ISGID if mode & stat.S_IXUSR else 0)


def chown_like_parent(handle: int, parent: int) -> None:
    """Give a new file, made by root in a user's folder, to that user: a rescue by root must not lock the user out.
    `handle`, `parent`: descriptors. Raises OSError."""
    if os.geteuid() != 0:
        return
    owner = os.fstat(parent)
    if (owner.st_uid, owner.st_gid) != (0, 0):
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.fchown(handle, owner.st_uid, owner.st_gid)
        if mode & stat.S_ISGID:
            os.fchmod(handle, mode)  # chown has removed the setgid bit


def remove_tree(path: Path) -> None:
    """Remove one of our own folders with everything in it; follows no symlink. A missing one is no error. Raises
    SymlinkError, OSError."""
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
    """Give the owner all rights on a folder of which somebody removed them."""
    with opened(path) as folder:
        os.chmod(f"/proc/self/fd/{folder}", stat.S_IRWXU)


def _refuse_symlinks(handle: int, path: Path) -> None:
    """Raises SymlinkError where the kernel knows the open folder by another path."""
    if (real := real_name(handle)) != os.path.abspath(path) and not real.endswith(" (deleted)"):
        raise SymlinkError(tr("{path} leads through a symlink, to {target}", path=path, target=real))
