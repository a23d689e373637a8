"""Regular files read, with their size limited and no symlink followed by surprise."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from atftctl.host.errors import HostError, NotRegularError, SymlinkError
from atftctl.host.files.folders import real_name

NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # no file has such a name


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


def free_bytes(path: Path) -> int:
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def size_of(path: Path) -> int:
    """In bytes; 0 where no such file can be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
