"""Durable file operations. Every mutating call of the product goes through here or through `folders`, as `os.…`, so
that tests can kill at each.

No symlink is passed through, neither in a folder nor at a file's name. A failed fsync is never retried: the kernel may
have dropped the dirty pages, and a second fsync would say yes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from io import BufferedReader
from pathlib import Path

from atftctl.host.errors import HostError, NotRegularError, SymlinkError
from atftctl.host.files.folders import give, opened, real_name, shared_mode

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE_AND_READ = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READ_BACK = 8 << 20  # bytes; reading back a larger copy would cost as much as making it
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # no file has such a name
SETTLED_NS = 2 * 10**9  # no file system keeps times coarser than this
Identity = tuple[int, int, int, int, int]
_hashed: dict[Identity, str] = {}


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def identity(facts: os.stat_result) -> Identity:
    """(device, inode, size, mtime, ctime): a file that has the same ones still has the same content, if it is
    `settled`."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def inode_key(facts: os.stat_result) -> str:
    """Which file on disk, whatever its names, and as which it was last written: another file that is given the same
    inode later has another key."""
    return f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def allocated(facts: os.stat_result) -> int:
    """Bytes that a file takes on disk: its holes take none."""
    return min(facts.st_size, facts.st_blocks * 512)


def settled(one: Identity) -> bool:
    """Changed so long ago that another change would show in its times (git's racy files)."""
    return time.time_ns() - max(one[3], one[4]) > SETTLED_NS


def sha256_file(path: Path) -> str | None:
    """Digest of a regular file's bytes, or None where there is no such file.

    A model of gigabytes is asked for several times on the way of one operation: within a process, one that has not
    changed since is not read again.
    """
    try:
        with open_regular(path) as file:
            before = identity(os.fstat(file.fileno()))
            if before in _hashed:
                return _hashed[before]
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if settled(before) and identity(os.fstat(file.fileno())) == before:
                _hashed[before] = digest
    except (FileNotFoundError, NotADirectoryError):
        return None
    return digest


LINK = "link:"  # what stands for the digest of a symlink, before its target


def is_link(digest: str | None) -> bool:
    return digest is not None and digest.startswith(LINK)


def digest_of(path: Path) -> str | None:
    """What stands at a name: the SHA-256 of a regular file, "link:TARGET" for a symlink, None for nothing. Raises
    NotRegularError for a folder or a pipe; OSError."""
    try:
        return f"{LINK}{os.readlink(path)}"
    except OSError:  # no symlink
        return sha256_file(path)


def open_regular(path: Path) -> BufferedReader:
    """Open for reading; a pipe does not make us wait, and no symlink is passed through. Raises NotRegularError,
    SymlinkError, OSError."""
    return _regular(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), path)


def _regular(handle: int, path: Path) -> BufferedReader:
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotRegularError(f"{path} is not a regular file")
        if os.path.dirname(real := real_name(handle)) != os.path.dirname(os.path.abspath(path)):
            raise SymlinkError(f"{path} leads through a symlink, to {real}")
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """What a regular file holds, at most so many bytes. Raises NotRegularError, OSError."""
    with open_regular(path) as file:
        return file.read(limit)


def try_read(path: Path) -> bytes | None:
    """What a regular file holds; None where there is none that can be read."""
    try:
        return read_bytes(path)
    except (OSError, HostError):
        return None


def know_hash(path: Path, digest: str) -> None:
    """This process has just written the file and hashed it on the way: it need not be read again."""
    _hashed[identity(path.stat())] = digest


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
            give(handle, folder)
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
            give(handle, folder)
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
            give(handle, folder)
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)


def free_bytes(path: Path) -> int:
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def size_of(path: Path) -> int:
    """In bytes; 0 where no such file can be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
