"""Why a file can't be replaced, found out before anything is decided: mounted over, immutable, on a read-only disk."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Collection
from pathlib import Path

GETFLAGS = 0x80086601  # linux/fs.h: FS_IOC_GETFLAGS
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
OCTAL = re.compile(r"\\([0-7]{3})")


def why_not_replaceable(path: Path, mounted: Collection[str]) -> tuple[str, str]:
    """Why a rename onto this name would fail, and what to do about it; ("", "") where nothing stands against it. The
    file may be missing. `mounted`: see `mount_points`."""
    if str(path) in mounted:
        return (
            "is a mount point (a file that a container mounts by itself); it can be written to, but not replaced",
            "mount the folder that holds it instead of the single file (Kubernetes: no subPath)",
        )
    for name, what in ((path, "file"), (path.parent, "folder")):
        flags = _flags(name)
        if flags & IMMUTABLE:
            return f"is protected: its {what} is immutable", f"chattr -i {name}"
        if flags & APPEND_ONLY:
            return f"is protected: its {what} is append-only", f"chattr -a {name}"
    try:
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return "is on a file system that is mounted read-only", "mount it for writing, then run this again"
    except OSError:
        pass
    return "", ""


def _flags(path: Path) -> int:
    """The file system's own flags; 0 where it has none, or where there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(struct.unpack_from("i", fcntl.ioctl(handle, GETFLAGS, bytes(8)))[0])
    except OSError:
        return 0
    finally:
        os.close(handle)


def mount_points() -> set[str]:
    """Every path that something is mounted on, as this process sees them."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return set()
    fields = (line.split(" ") for line in lines)
    return {OCTAL.sub(lambda match: chr(int(match[1], 8)), words[4]) for words in fields if len(words) > 4}
