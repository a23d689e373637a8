"""The digest of a file's content. Within one process, each version of a file is hashed once."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from atftctl.host.files.reading import open_regular

SETTLED_NS = 2 * 10**9  # no file system keeps times coarser than this
LINK = "link:"  # the digest of a symlink is this and its target
Identity = tuple[int, int, int, int, int]
_hashed: dict[Identity, str] = {}


def digest_of(path: Path) -> str | None:
    """The SHA-256 of a regular file, "link:TARGET" for a symlink, None where there is no file. Raises NotRegularError
    for a folder or a pipe; OSError."""
    try:
        return f"{LINK}{os.readlink(path)}"
    except OSError:  # not a symlink
        return sha256_file(path)


def is_link(digest: str | None) -> bool:
    """Is this the digest of a symlink?"""
    return digest is not None and digest.startswith(LINK)


def sha256_file(path: Path) -> str | None:
    """The SHA-256 of a regular file; None where there is no file. Raises NotRegularError, SymlinkError, OSError.

    An operation asks for the digest of a model of gigabytes several times: a file that has not changed since this
    process hashed it is not read again.
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


def remember_hash(path: Path, digest: str) -> None:
    """Remember the digest of a file that this process has just written, so that it is not read again."""
    _hashed[identity(path.stat())] = digest


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of these bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def identity(facts: os.stat_result) -> Identity:
    """(device, inode, size, mtime, ctime). While these stay the same, so does the file's content, if they are
    `mtime_settled`."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def mtime_settled(file: Identity) -> bool:
    """Was the file last changed so long ago that another change would show in its times? (Git calls other files
    racy.)"""
    return time.time_ns() - max(file[3], file[4]) > SETTLED_NS


def inode_key(facts: os.stat_result) -> str:
    """A key for a file on disk, whatever its names: another file that gets the same inode later has another key."""
    return f"{facts.st_dev}:{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"


def allocated(facts: os.stat_result) -> int:
    """The bytes that a file takes on disk: its holes take none."""
    return min(facts.st_size, facts.st_blocks * 512)
