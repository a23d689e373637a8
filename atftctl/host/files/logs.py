"""Read the files that the trainer writes. A log may be a symlink to another disk, may be rotated, and may be a pipe."""

from __future__ import annotations

import os
from io import BufferedReader
from pathlib import Path

from atftctl.host.errors import HostError
from atftctl.host.files.reading import open_regular, size_of
from atftctl.host.process.rights import links_are_ours

TAIL_LIMIT = 256 * 1024  # bytes


def real_path(root: Path, name: str) -> Path:
    """The real path of a file in the run folder. Symlinks are followed where they may be (see `links_are_ours`)."""
    path = root / name
    try:
        return path.resolve() if links_are_ours(root, path) else path
    except (RuntimeError, OSError):  # a symlink that leads to itself: opening it will say so
        return path


def open_log(root: Path, name: str) -> BufferedReader:
    """Open a file of the run folder for reading. Raises NotRegularError, SymlinkError, OSError."""
    return open_regular(real_path(root, name))


def size_of_log(root: Path, name: str) -> int:
    """The size of a file of the run folder in bytes; 0 where there is none, or it can't be seen."""
    return size_of(real_path(root, name))


def tail(root: Path, name: str, lines: int, *, limit: int = TAIL_LIMIT, since: int = 0) -> list[str]:
    """The last `lines` lines after the byte offset `since`. Reads at most `limit` bytes; empty where the file can't be
    read."""
    try:
        with open_log(root, name) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since if since <= size else 0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except (OSError, HostError):
        return []
    return text.splitlines()[-lines:]


def inode_of_log(root: Path, name: str) -> int:
    """The inode of a file of the run folder; 0 where there is none."""
    try:
        return real_path(root, name).stat().st_ino
    except OSError:
        return 0
