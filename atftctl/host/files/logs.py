"""The files that the trainer writes, as the tool reads them: logs may be symlinks to another disk, may be rotated, may
be pipes."""

from __future__ import annotations

import os
from io import BufferedReader
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.files.reading import open_regular, size_of
from atftctl.host.process.rights import links_are_ours

TAIL_LIMIT = 256 * 1024  # bytes


def real_path(root: Path, name: str) -> Path:
    """Where a file of the run folder really lies: through symlinks, where they may be followed."""
    path = root / name
    try:
        return path.resolve() if links_are_ours(root, path) else path
    except (RuntimeError, OSError):  # a symlink that leads to itself: whoever opens it is told so
        return path


def open_log(root: Path, name: str) -> BufferedReader:
    """Raises NotRegularError, SymlinkError, OSError."""
    return open_regular(real_path(root, name))


def size_of_log(root: Path, name: str) -> int:
    """In bytes; 0 where no such file can be seen."""
    return size_of(real_path(root, name))


def tail(root: Path, name: str, lines: int, *, limit: int = TAIL_LIMIT, since: int = 0) -> list[str]:
    """The last `lines` lines after byte `since`, reading at most `limit` bytes; empty where none can be read."""
    try:
        with open_log(root, name) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except (OSError, HostError):
        return []
    return text.splitlines()[-lines:]


def inode_of_log(root: Path, name: str) -> int:
    """Which file it is now; 0 where there is none."""
    try:
        return real_path(root, name).stat().st_ino
    except OSError:
        return 0
