"""What a file has beside its bytes: owner, group, mode, access control lists, extended attributes. A file that replaces
another one takes them over; what can't be taken over is known before anything is decided."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from atftctl.host.folders import opened

# Set by the kernel or by a security module for each new file; a copy of them would be refused, or be a lie.
KERNELS_OWN = ("security.selinux", "security.ima", "security.evm", "security.capability", "system.nfs4_acl")
NOT_SUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.ENODATA, errno.ENOENT)


def take_over(target: Path, staged: Path, mode: int) -> None:
    """Give the staged file the owner, the group and the attributes of the file that it is to replace, or of its folder
    where there is none, and this mode; durably. What `losses` names stays behind. Raises OSError."""
    try:
        facts, names = os.lstat(target), _extended(target)
    except (FileNotFoundError, NotADirectoryError):
        facts, names = os.lstat(next(folder for folder in target.parents if folder.is_dir())), []
    if stat.S_ISDIR(facts.st_mode):  # of a folder the owner alone
        names = []
    with opened(staged.parent) as folder:
        if stat.S_ISLNK(os.stat(staged.name, dir_fd=folder, follow_symlinks=False).st_mode):
            with suppress(PermissionError):
                os.chown(staged.name, facts.st_uid, facts.st_gid, dir_fd=folder, follow_symlinks=False)
            return
        handle = os.open(staged.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if _own(handle, facts) | _attributes(handle, target, names):
            os.fchmod(handle, stat.S_IMODE(mode))  # an access control list has brought its own
            os.fsync(handle)
    finally:
        os.close(handle)


def _own(handle: int, facts: os.stat_result) -> bool:
    """Owner and group, as far as we may give them; whether anything changed. A missing right was told by `losses`."""
    mine = os.fstat(handle)
    if (mine.st_uid, mine.st_gid) == (facts.st_uid, facts.st_gid):
        return False
    for uid in (facts.st_uid, -1):  # the group alone, where only root may give away a file
        with suppress(PermissionError):
            os.fchown(handle, uid, facts.st_gid)
            return True
    return False


def _attributes(handle: int, target: Path, names: list[str]) -> bool:
    for name in names:
        try:
            os.setxattr(handle, name, os.getxattr(target, name, follow_symlinks=False))
        except OSError as error:
            if error.errno not in NOT_SUPPORTED or name not in lost_attributes(target):
                raise
    return bool(names)


def _extended(path: Path) -> list[str]:
    """Names of the attributes that a copy should have."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []
    return [name for name in names if name not in KERNELS_OWN]


def lost_attributes(path: Path) -> list[str]:
    """Attributes that only root may set."""
    if os.geteuid() == 0:
        return []
    return [name for name in _extended(path) if name.startswith(("trusted.", "security."))]


def losses(path: Path) -> list[str]:
    """What a replacement of this file by us would not have. Empty where it loses nothing, or where there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return []
    found = []
    if facts.st_nlink > 1 and stat.S_ISREG(facts.st_mode):
        found.append(f"it has {facts.st_nlink - 1} more name(s) (hard links), which keep the old content")
    if os.geteuid() != 0 and facts.st_gid not in (os.getegid(), *os.getgroups(), os.stat(path.parent).st_gid):
        found.append(f"its group (gid {facts.st_gid}) is lost: you are not in it")
    if names := lost_attributes(path):
        found.append(f"its attributes {', '.join(names)} are lost: only root may set them")
    return found
