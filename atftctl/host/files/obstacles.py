"""Find out why a file can't be replaced, before anything is changed: it is a mount point, is immutable, or is on a
read-only file system."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Collection
from pathlib import Path

from atftctl.protocol.messages import tr

GETFLAGS = 0x80086601  # linux/fs.h: FS_IOC_GETFLAGS
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
OCTAL = re.compile(r"\\([0-7]{3})")


def why_not_replaceable(name: str, path: Path, mounted: Collection[str]) -> tuple[str, str]:
    """(reason, hint) why a rename onto this path would fail; ("", "") where it would not. `name`: what the reason calls
    the file. The file may be missing. `mounted`: see `mount_points`."""
    if str(path) in mounted:
        return (
            tr(
                "{name} is a mount point (a single file mounted into a container): "
                "it can be written to, but not replaced",
                name=name,
            ),
            tr("mount the folder that holds the file instead of the single file (Kubernetes: no subPath)"),
        )
    for place in (path, path.parent):
        flags = _flags(place)
        if flags & IMMUTABLE:
            return tr("{name} can't be replaced: {path} is immutable", name=name, path=place), tr(
                "chattr -i {path}", path=place
            )
        if flags & APPEND_ONLY:
            return tr("{name} can't be replaced: {path} is append-only", name=name, path=place), tr(
                "chattr -a {path}", path=place
            )
    try:
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return (
                tr("{name} is on a file system that is mounted read-only", name=name),
                tr("mount the file system for writing, then run this command again"),
            )
    except OSError:
        pass
    return "", ""


def mount_points() -> set[str]:
    """Every path that something is mounted on, as this process sees them."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return set()
    rows = (line.split(" ") for line in lines)
    return {OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]) for fields in rows if len(fields) > 4}


def _flags(path: Path) -> int:
    """The flags of a file in its file system (see chattr); 0 where there are none, or there is no file."""
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
