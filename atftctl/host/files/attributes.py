"""The metadata of files: owner, group, mode, access control lists, extended attributes. A file that replaces another
one gets the same metadata; what can't be kept is reported before anything is changed."""

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
from atftctl.protocol.messages import joined, tr, trn

# Set by the kernel or by a security module for each new file; copying them would fail, or be wrong.
KERNELS_OWN = ("security.selinux", "security.ima", "security.evm", "security.capability", "system.nfs4_acl")
CAP_SYS_ADMIN = 21  # capability.h


def read_metadata(path: Path) -> dict[str, Any]:
    """Owner, group and extended attributes of a file, as a manifest keeps them: numbers, and base64 by name. Raises
    OSError."""
    facts = os.lstat(path)
    attributes = {name: b64encode(os.getxattr(path, name, follow_symlinks=False)).decode() for name in _extended(path)}
    return {"uid": facts.st_uid, "gid": facts.st_gid, "attributes": attributes}


def take_over(target: Path, staged: Path, mode: int, kept: Mapping[str, Any] | None = None) -> None:
    """Give the staged file this mode, and the owner, group and attributes of `target`, which it will replace; durably.
    Where there is no `target`: those of `kept`, else the owner of the folder. What `replacement_losses` names is not
    kept. Raises OSError, ValueError."""
    uid, gid, attributes = _wanted(target, kept)
    with opened(staged.parent) as folder:
        if stat.S_ISLNK(os.stat(staged.name, dir_fd=folder, follow_symlinks=False).st_mode):
            with suppress(PermissionError):
                os.chown(staged.name, uid, gid, dir_fd=folder, follow_symlinks=False)
            return
        handle = os.open(staged.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if _own(handle, uid, gid) | _attributes(handle, attributes):
            os.fchmod(handle, stat.S_IMODE(mode))  # setting an access control list has changed the mode
            os.fsync(handle)
    finally:
        os.close(handle)


def _wanted(target: Path, kept: Mapping[str, Any] | None) -> tuple[int, int, dict[str, bytes] | None]:
    """Owner, group and attributes to set; None: leave the attributes that a new file has."""
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
    folder = os.lstat(next(path for path in target.parents if path.is_dir()))
    return folder.st_uid, folder.st_gid, None


def _own(handle: int, uid: int, gid: int) -> bool:
    """Set owner and group, as far as this user may; True if anything changed. `replacement_losses` has reported what
    this user may not set."""
    current = os.fstat(handle)
    if (current.st_uid, current.st_gid) == (uid, gid):
        return False
    for owner in (uid, -1):  # the group alone, where only root may change the owner
        with suppress(PermissionError):
            os.fchown(handle, owner, gid)
            return True
    return False


def _attributes(handle: int, wanted: dict[str, bytes] | None) -> bool:
    """Set these attributes and remove all others, such as a folder's default access control list; True if anything
    changed."""
    if wanted is None:
        return False
    surplus = [name for name in _names(handle) if name not in wanted and _may_set(name)]
    for name in surplus:
        os.removexattr(handle, name)
    for name, value in wanted.items():
        if _may_set(name):
            _set(handle, name, value)
    return bool(wanted or surplus)


def _set(handle: int, name: str, value: bytes) -> None:
    """Set an attribute. A file system without attributes is no error: it must not stop a rescue."""
    try:
        os.setxattr(handle, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _may_set(name: str) -> bool:
    """May this process set the attribute? Never those of the kernel; those of the administrator only with
    CAP_SYS_ADMIN."""
    return name not in KERNELS_OWN and (not name.startswith(("trusted.", "security.")) or _administrator())


@cache
def _administrator() -> bool:
    """Has this process CAP_SYS_ADMIN? xattr(7) requires it for trusted.* and security.*; root in a container lacks
    it."""
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
    """The names of the attributes that a copy should have."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []
    return [name for name in names if name not in KERNELS_OWN]


def lost_attributes(path: Path) -> list[str]:
    """The attributes of a file that this process may not set on a copy."""
    return [name for name in _extended(path) if not _may_set(name)]


def replacement_losses(path: Path, *, links: bool = True) -> list[str]:
    """What is lost when this process replaces the file: a message for each. Empty where nothing is, or where there is
    no file. `links`: hard links count as a loss."""
    try:
        facts = os.lstat(path)
    except OSError:
        return []
    losses: list[str] = []
    if links and facts.st_nlink > 1 and stat.S_ISREG(facts.st_mode):
        losses.append(
            trn(
                "the file has {count} more hard link, which keeps the old content",
                "the file has {count} more hard links, which keep the old content",
                facts.st_nlink - 1,
            )
        )
    if os.geteuid() != 0 and facts.st_gid not in (os.getegid(), *os.getgroups(), os.stat(path.parent).st_gid):
        losses.append(tr("the file's group (gid {gid}) is lost: you are not a member of it", gid=facts.st_gid))
    if names := lost_attributes(path):
        losses.append(
            tr(
                "the file's attributes {names} are lost: only an administrator (CAP_SYS_ADMIN) may set them",
                names=joined(", ", names),
            )
        )
    return losses
