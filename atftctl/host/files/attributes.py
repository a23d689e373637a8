"""What a file has beside its bytes: owner, group, mode, access control lists, extended attributes. A file that replaces
another one takes them over; what can't be taken over is known before anything is decided."""

from __future__ import annotations

import errno
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from atftctl.host.files.folders import opened

# Set by the kernel or by a security module for each new file; a copy of them would be refused, or be a lie.
KERNELS_OWN = ("security.selinux", "security.ima", "security.evm", "security.capability", "system.nfs4_acl")
CAP_SYS_ADMIN = 21  # capability.h


def read_metadata(path: Path) -> dict[str, Any]:
    """Owner, group and attributes of a file, as a snapshot keeps them: numbers, and base64 by name. Raises OSError."""
    facts = os.lstat(path)
    attributes = {name: b64encode(os.getxattr(path, name, follow_symlinks=False)).decode() for name in _extended(path)}
    return {"uid": facts.st_uid, "gid": facts.st_gid, "attributes": attributes}


def take_over(target: Path, staged: Path, mode: int, kept: Mapping[str, Any] | None = None) -> None:
    """Give the staged file the owner, the group and the attributes of the file that it is to replace, and this mode;
    durably. Where no file stands: those of `kept`, else the owner of the folder. What `losses` names stays behind.
    Raises OSError, ValueError."""
    uid, gid, attributes = _wanted(target, kept)
    with opened(staged.parent) as folder:
        if stat.S_ISLNK(os.stat(staged.name, dir_fd=folder, follow_symlinks=False).st_mode):
            with suppress(PermissionError):
                os.chown(staged.name, uid, gid, dir_fd=folder, follow_symlinks=False)
            return
        handle = os.open(staged.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if _own(handle, uid, gid) | _attributes(handle, attributes):
            os.fchmod(handle, stat.S_IMODE(mode))  # an access control list has brought its own
            os.fsync(handle)
    finally:
        os.close(handle)


def _wanted(target: Path, kept: Mapping[str, Any] | None) -> tuple[int, int, dict[str, bytes] | None]:
    """Owner, group, and attributes; None for those that a new file has by itself."""
    try:
        facts = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        facts = None
    if facts is not None and not stat.S_ISDIR(facts.st_mode):
        names = _extended(target)
        return facts.st_uid, facts.st_gid, {name: os.getxattr(target, name, follow_symlinks=False) for name in names}
    if kept is not None:
        attributes = {name: b64decode(value) for name, value in kept["attributes"].items() if _may_set(name)}
        return int(kept["uid"]), int(kept["gid"]), attributes
    folder = os.lstat(next(place for place in target.parents if place.is_dir()))
    return folder.st_uid, folder.st_gid, None


def _own(handle: int, uid: int, gid: int) -> bool:
    """Owner and group, as far as we may give them; whether anything changed. A missing right was told by `losses`."""
    mine = os.fstat(handle)
    if (mine.st_uid, mine.st_gid) == (uid, gid):
        return False
    for owner in (uid, -1):  # the group alone, where only root may give away a file
        with suppress(PermissionError):
            os.fchown(handle, owner, gid)
            return True
    return False


def _attributes(handle: int, wanted: dict[str, bytes] | None) -> bool:
    """These and no others: a folder's default access control list is not for a file that had none. Whether anything
    changed."""
    if wanted is None:
        return False
    strange = [name for name in _names(handle) if name not in wanted and _may_set(name)]
    for name in strange:
        os.removexattr(handle, name)
    for name, value in wanted.items():
        if _may_set(name):
            _set(handle, name, value)
    return bool(wanted or strange)


def _set(handle: int, name: str, value: bytes) -> None:
    """A file system that has no attributes, as one that a snapshot was copied to, must not stop a rescue."""
    try:
        os.setxattr(handle, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _may_set(name: str) -> bool:
    """Not the kernel's own; those of the administrator only by root with that right."""
    return name not in KERNELS_OWN and (not name.startswith(("trusted.", "security.")) or _administrator())


@cache
def _administrator() -> bool:
    """CAP_SYS_ADMIN, which root in a container lacks: xattr(7) asks for it before trusted.* and security.* are set."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        capabilities = next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1]
    except (OSError, StopIteration, IndexError):
        return os.geteuid() == 0
    return bool(int(capabilities, 16) >> CAP_SYS_ADMIN & 1)


def _names(handle: int) -> list[str]:
    try:
        return os.listxattr(handle)
    except OSError:
        return []


def _extended(path: Path) -> list[str]:
    """Names of the attributes that a copy should have."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []
    return [name for name in names if name not in KERNELS_OWN]


def lost_attributes(path: Path) -> list[str]:
    """Attributes that only an administrator may set, and we are none."""
    return [name for name in _extended(path) if not _may_set(name)]


def replacement_losses(path: Path) -> list[str]:
    """What a replacement of this file by us would not have. Empty where it loses nothing, or where there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return []
    found = []
    if facts.st_nlink > 1 and stat.S_ISREG(facts.st_mode):
        more = facts.st_nlink - 1
        found.append(f"it has {more} more hard link{'s' * (more > 1)}: the old content stays there")
    if os.geteuid() != 0 and facts.st_gid not in (os.getegid(), *os.getgroups(), os.stat(path.parent).st_gid):
        found.append(f"its group (gid {facts.st_gid}) is lost: you are not in it")
    if names := lost_attributes(path):
        found.append(f"its attributes {', '.join(names)} are lost: only an administrator (CAP_SYS_ADMIN) may set them")
    return found
