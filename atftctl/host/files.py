"""Durable file operations. Every mutating call of the product goes through here, as `os.…`, so that tests can kill
at each.

A failed fsync is never retried: the kernel may have dropped the dirty pages, and a second fsync would say yes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from io import BufferedReader
from pathlib import Path

from atftctl.host.errors import NotRegularError, OutsideProjectError

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


def open_regular(path: Path) -> BufferedReader:
    """Open for reading; a pipe does not make us wait. Raises NotRegularError, OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotRegularError(f"{path} is not a regular file")
    return os.fdopen(handle, "rb")


def know_hash(path: Path, digest: str) -> None:
    """This process has just written the file and hashed it on the way: it need not be read again."""
    _hashed[identity(path.stat())] = digest


def inside(root: Path, relative: str) -> Path:
    """`root / relative`, refused where it would lead out of `root`: absolute, `..`, or a symlink that points
    elsewhere."""
    if not relative or relative.startswith(("/", "~")) or ".." in Path(relative).parts:
        raise OutsideProjectError(f"{relative!r} does not stay inside the project")
    path = root / relative
    try:
        real = path.resolve()
    except (RuntimeError, OSError):  # Python before 3.13 raises RuntimeError for a loop
        raise OutsideProjectError(f"{relative!r} is a symlink that leads to itself") from None
    if not real.is_relative_to(root.resolve()):
        raise OutsideProjectError(f"{relative!r} is a symlink that leads out of the project, to {real}")
    if _is_link(path):
        raise OutsideProjectError(f"{relative!r} is a symlink; replacing it would leave the file behind it unchanged")
    return path


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # in a folder that is closed to us: whoever opens the file is told so
        return False


class Within:
    """`inside` for many files: each folder is looked at once. Whoever opens the file itself says O_NOFOLLOW."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, Path] = {}

    def __call__(self, relative: str) -> Path:
        folder, _, name = relative.rpartition("/")
        if not folder or name in ("", ".", ".."):
            return inside(self._root, relative)
        if folder not in self._folders:
            self._folders[folder] = inside(self._root, folder)
        return self._folders[folder] / name


def fsync_dir(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file_system(path: Path) -> None:
    """All that was written to the file system of this folder is durable: for thousands of files at once, where an fsync
    each would take minutes. Linux reports what could not be written (since 5.8)."""
    import ctypes

    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(handle)


def make_dirs(path: Path, mode: int = 0o755) -> None:
    """`mkdir -p`, each new name durable in its parent."""
    missing: list[Path] = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            os.mkdir(folder, mode)
        except FileExistsError:
            continue
        give(folder)
        fsync_dir(folder.parent)


def give(path: Path) -> None:
    """What root makes in a user's folder is the user's, so that a rescue by root does not lock the user out."""
    if os.geteuid() != 0:
        return
    owner = path.parent.stat()
    if (owner.st_uid, owner.st_gid) != (0, 0):
        os.chown(path, owner.st_uid, owner.st_gid)


def write_new(path: Path, data: bytes, mode: int) -> str:
    """A new file with these bytes, fsynced; its SHA-256. The folder is the caller's to fsync.

    Refuses a name that exists and never follows a symlink (O_EXCL, O_NOFOLLOW). A file half written stays: its
    owner knows its name and cleans up.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(handle, data)
        os.fchmod(handle, stat.S_IMODE(mode))
        give(path)
        os.fsync(handle)
    finally:
        os.close(handle)
    return sha256_bytes(data)


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """The whole new content at `path`, or the old one: temp beside it, fsync, rename, fsync of the folder."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_new(temp, data, mode)
        os.replace(temp, path)
    except BaseException:
        remove(temp)
        raise
    fsync_dir(path.parent)


def append_durably(path: Path, line: bytes) -> None:
    """One line added at the end, fsynced; a torn line left by a crash is closed with a newline first."""
    created = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if created:
            give(path)
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        write_all(handle, b"\n" + line if torn else line)
        os.fsync(handle)
    finally:
        os.close(handle)
    if created:
        fsync_dir(path.parent)


def remove(path: Path) -> bool:
    """True if the file was there and is gone now."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise
    return True


def remove_tree(path: Path) -> None:
    """A folder of ours and all in it; never follows a symlink."""
    if path.is_symlink() or not path.is_dir():
        remove(path)
        return
    if stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(path, stat.S_IRWXU)  # closed by hand; whose it is may open it
    for child in path.iterdir():
        remove_tree(child)
    os.rmdir(path)


def preallocate(path: Path, size: int) -> None:
    """A file of `size` bytes that really occupies them."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        give(path)
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


def tail(path: Path, lines: int, *, limit: int = 256 * 1024, since: int = 0) -> list[str]:
    """The last `lines` lines after byte `since`, reading at most `limit` bytes; empty where there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return text.splitlines()[-lines:]


def write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
