"""Read regular files: no symlink is followed, and a pipe is never waited for."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from atftctl.host.errors import HostError, NotRegularError, SymlinkError
from atftctl.host.files.folders import real_name
from atftctl.protocol.messages import tr

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # the errors that mean: there is no such file


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading. Raises NotRegularError, SymlinkError, OSError."""
    return _regular(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), path)


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """The content of a regular file, at most `limit` bytes. Raises NotRegularError, SymlinkError, OSError."""
    with open_regular(path) as file:
        return file.read(limit)


def try_read(path: Path) -> bytes | None:
    """The content of a regular file; None where it can't be read."""
    try:
        return read_bytes(path)
    except (OSError, HostError):
        return None


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 where there is none, or it can't be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def free_bytes(path: Path) -> int:
    """The bytes that this user may still write to the file system of this path. Raises OSError."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def _regular(handle: int, path: Path) -> BufferedReader:
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotRegularError(tr("{path} is not a regular file", path=path))
        if os.path.dirname(real := real_name(handle)) != os.path.dirname(os.path.abspath(path)):
            raise SymlinkError(tr("{path} leads through a symlink, to {target}", path=path, target=real))
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")
