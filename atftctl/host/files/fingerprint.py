"""What a file holds, as a digest; each version of a file is hashed once."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from atftctl.host.files.reading import open_regular

SETTLED_NS = 2 * 10**9  # no file system keeps times coarser than this
Identity = tuple[int, int, int, int, int]
_hashed: dict[Identity, str] = {}


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def identity(facts: os.stat_result) -> Identity:
    """(device, inode, size, mtime, ctime): a file that has the same ones still has the same content, if it is
    `mtime_settled`."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def inode_key(facts: os.stat_result) -> str:
    """Which file on disk, whatever its names, and as which it was last written: another file that is given the same
    inode later has another key."""
    return f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def allocated(facts: os.stat_result) -> int:
    """Bytes that a file takes on disk: its holes take none."""
    return min(facts.st_size, facts.st_blocks * 512)


def mtime_settled(one: Identity) -> bool:
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
            if mtime_settled(before) and identity(os.fstat(file.fileno())) == before:
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


def remember_hash(path: Path, digest: str) -> None:
    """This process has just written the file and hashed it on the way: it need not be read again."""
    _hashed[identity(path.stat())] = digest
