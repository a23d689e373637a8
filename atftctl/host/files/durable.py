"""Durable file operations. Every call that changes a file is made here or in `folders`, as a plain `os.` call, so that
tests can kill the process at each of them.

No symlink is followed, neither in a folder's path nor at a file's name. A failed fsync is never retried: the kernel may
have dropped the dirty pages, and a second fsync would report success.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from atftctl.host.errors import NotRegularError, SymlinkError
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.folders import chown_like_parent, opened, real_name, shared_mode
from atftctl.host.files.reading import NOT_THERE
from atftctl.protocol.messages import tr

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE_AND_READ = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READ_BACK = 8 << 20  # bytes; reading back a larger copy would cost as much as making it


def write_new(path: Path, data: bytes, mode: int) -> str:
    """Write a new file and fsync it; return its SHA-256. The caller fsyncs the folder.

    Raises FileExistsError where the name exists, also as a symlink, and OSError. After an error a half-written file
    stays; the caller removes it.
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
    """Replace the content of `path`: after a crash it is the whole old or the whole new one. Writes a temp file beside
    it, fsyncs, renames, and fsyncs the folder. Raises OSError."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with opened(path.parent, readable=True) as folder:
        try:
            write_new(temp, data, shared_mode(mode, os.fstat(folder)))
            os.replace(temp.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            remove(temp)
            raise
        os.fsync(folder)


def create_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """As `write_durably`, for a file that must not be there yet: of two processes at once, one gets it. Raises
    FileExistsError, OSError."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with opened(path.parent, readable=True) as folder:
        try:
            write_new(temp, data, shared_mode(mode, os.fstat(folder)))
            os.link(temp.name, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            remove(temp)
        os.fsync(folder)


def append_durably(path: Path, line: bytes) -> None:
    """Append a line (which ends in a newline) and fsync the file. A torn last line, left by a crash, is ended with a
    newline first. Raises NotRegularError, SymlinkError, OSError."""
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
    """Open one of our own files in the folder with this descriptor, to be written in place; create it where it is
    missing. Returns its descriptor, and whether it was created. Raises SymlinkError; NotRegularError for a folder, a
    pipe, or a file with a second hard link; OSError."""
    mode = shared_mode(0o644, os.fstat(folder))
    handle, created = _open_or_create(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, folder)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise NotRegularError(tr("{path} is not a regular file, or has a second hard link", path=real_name(handle)))
        if created:
            os.fchmod(handle, mode)
            chown_like_parent(handle, folder)
    except BaseException:
        os.close(handle)
        raise
    return handle, created


def _open_or_create(name: str, flags: int, mode: int, folder: int) -> tuple[int, bool]:
    """The descriptor of a file, and whether it was created. Another process may create or remove it at any time."""
    while True:
        try:
            return os.open(name, flags, dir_fd=folder), False
        except OSError as error:
            path = f"{real_name(folder)}/{name}"
            if error.errno == errno.ENXIO:  # a pipe that nobody reads
                raise NotRegularError(tr("{path} is not a regular file", path=path)) from None
            if error.errno == errno.ELOOP:
                raise SymlinkError(tr("{path} is a symlink", path=path)) from None
            if error.errno != errno.ENOENT:
                raise
        with suppress(FileExistsError):  # then it is opened, as it was there
            return os.open(name, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder), True


def write_link(path: Path, target: str) -> None:
    """Make a symlink. The caller fsyncs the folder. Raises OSError."""
    with opened(path.parent) as folder:
        os.symlink(target, path.name, dir_fd=folder)


def remove(path: Path) -> bool:
    """Remove a file. True if there was one. Raises OSError."""
    try:
        with opened(path.parent) as folder:
            os.unlink(path.name, dir_fd=folder)
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    return True


def rename(source: Path, target: Path) -> None:
    """Rename `source` to `target`, which is replaced atomically. The caller fsyncs the folders. Raises OSError."""
    with opened(source.parent) as old, opened(target.parent) as new:
        os.replace(source.name, target.name, src_dir_fd=old, dst_dir_fd=new)


def preallocate(path: Path, size: int) -> None:
    """Make a file of `size` bytes that occupies them on disk. Raises OSError."""
    with opened(path.parent) as folder:
        handle = os.open(path.name, CREATE, 0o600, dir_fd=folder)
        try:
            chown_like_parent(handle, folder)
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Write all of these bytes to an open file. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
