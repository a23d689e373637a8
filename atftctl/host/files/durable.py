"""Durable file operations. Every mutating call of the product goes through here or through `folders`, as `os.…`, so
that tests can kill at each.

No symlink is passed through, neither in a folder nor at a file's name. A failed fsync is never retried: the kernel may
have dropped the dirty pages, and a second fsync would say yes.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from atftctl.host.errors import NotRegularError, SymlinkError
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.folders import chown_like_parent, opened, real_name, shared_mode
from atftctl.host.files.reading import NOT_THERE

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE_AND_READ = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READ_BACK = 8 << 20  # bytes; reading back a larger copy would cost as much as making it


def write_new(path: Path, data: bytes, mode: int) -> str:
    """A new file with these bytes, fsynced; its SHA-256. The folder is the caller's to fsync.

    Refuses a name that exists and never follows a symlink (O_EXCL, O_NOFOLLOW). A file half written stays: its
    owner knows its name and cleans up.
    """
    with opened(path.parent) as folder:
        handle = os.open(path.name, CREATE, 0o600, dir_fd=folder)
        try:
            write_all(handle, data)
            os.fchmod(handle, stat.S_IMODE(mode))
            chown_like_parent(handle, folder)
            os.fsync(handle)
        finally:
            os.close(handle)
    return sha256_bytes(data)


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """The whole new content at `path`, or the old one: temp beside it, fsync, rename, fsync of the folder."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with opened(path.parent, readable=True) as folder:
        try:
            write_new(temp, data, shared_mode(mode, os.fstat(folder)))
            os.replace(temp.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            remove(temp)
            raise
        os.fsync(folder)


def append_durably(path: Path, line: bytes) -> None:
    """One line added at the end, fsynced; a torn line left by a crash is closed with a newline first."""
    with opened(path.parent, readable=True) as folder:
        handle, created = open_own(path.name, os.O_RDWR | os.O_APPEND, folder)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            write_all(handle, b"\n" + line if torn else line)
            os.fsync(handle)
        finally:
            os.close(handle)
        if created:
            os.fsync(folder)


def open_own(name: str, flags: int, folder: int) -> tuple[int, bool]:
    """A file of ours to be written in place, and whether it was made now. Nothing but a regular file with one name is
    opened: no symlink, no pipe, no hard link to somebody's file. Raises NotRegularError, OSError."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle, created = os.open(name, flags, dir_fd=folder), False
    except OSError as error:
        if error.errno == errno.ENXIO:  # a pipe that nobody reads
            raise NotRegularError(f"{real_name(folder)}/{name} is not a regular file") from None
        if error.errno == errno.ELOOP:
            raise SymlinkError(f"{real_name(folder)}/{name} is a symlink") from None
        if error.errno != errno.ENOENT:
            raise
        mode = shared_mode(0o644, os.fstat(folder))
        handle, created = os.open(name, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder), True
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise NotRegularError(f"{real_name(handle)} is not a file of ours: no regular file, or it has another name")
        if created:
            os.fchmod(handle, mode)
            chown_like_parent(handle, folder)
    except BaseException:
        os.close(handle)
        raise
    return handle, created


def write_link(path: Path, target: str) -> None:
    """A new symlink. Its folder is the caller's to fsync."""
    with opened(path.parent) as folder:
        os.symlink(target, path.name, dir_fd=folder)


def remove(path: Path) -> bool:
    """True if the file was there and is gone now."""
    try:
        with opened(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    return True


def rename(source: Path, target: Path) -> None:
    """`target` becomes `source`, at once. The folders are the caller's to fsync."""
    with opened(source.parent) as old, opened(target.parent) as new:
        os.replace(source.name, target.name, src_dir_fd=old, dst_dir_fd=new)


def preallocate(path: Path, size: int) -> None:
    """A file of `size` bytes that really occupies them."""
    with opened(path.parent) as folder:
        handle = os.open(path.name, CREATE, 0o600, dir_fd=folder)
        try:
            chown_like_parent(handle, folder)
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
