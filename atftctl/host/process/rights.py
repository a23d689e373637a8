"""The user whose rights a program gets. Where root works in a user's project, every program there is started as that
user: nothing that the user could have written may run as root."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SUDO = ("SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND")


@dataclass(frozen=True)
class User:
    """Another user, whose rights a child process gets."""

    uid: int
    gid: int
    name: str = ""
    home: str = ""


def user_of(folder: Path) -> User | None:
    """The user whose rights a program gets in this project, or in a folder of ours in it; None: our own rights. Only
    the project's folder decides: the user may rename and replace everything in it."""
    if os.geteuid() != 0:
        return None
    return _owner_of(os.path.abspath(folder).split("/.atftctl/")[0])


@cache
def _owner_of(root: str) -> User | None:
    facts = os.lstat(root)
    if facts.st_uid == 0:
        return None
    import pwd

    try:
        entry = pwd.getpwuid(facts.st_uid)
    except KeyError:  # a container's user that has no name here
        return User(facts.st_uid, facts.st_gid, home=root)
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)


def uid_of(folder: Path) -> int | None:
    """The uid that processes of this project must have where root works for a user; None: any (the kernel checks)."""
    user = user_of(folder)
    return user.uid if user else None


def forget() -> None:
    """Forget what is cached, in a process that goes on as another user."""
    _owner_of.cache_clear()


def options(user: User | None) -> dict[str, Any]:
    """Arguments for subprocess.Popen: the user, the group and the supplementary groups."""
    if user is None:
        return {}
    groups = os.getgrouplist(user.name, user.gid) if user.name else [user.gid]
    return {"user": user.uid, "group": user.gid, "extra_groups": groups}


def environment(env: Mapping[str, str], user: User | None) -> dict[str, str]:
    """The environment with that user's HOME and name, so that programs find that user's files."""
    if user is None:
        return dict(env)
    kept = {name: value for name, value in env.items() if name not in SUDO and not name.startswith("XDG_")}
    return {**kept, "HOME": user.home, "USER": user.name, "LOGNAME": user.name}


def give_to(path: Path, user: User | None) -> None:
    """Make that user the owner of a file or folder of ours, for a program of theirs to use. Raises OSError."""
    if user is not None:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def links_are_ours(root: Path, path: Path) -> bool:
    """May a symlink on the way from `root` to `path` be followed? Root follows one only where nobody else could have
    made it."""
    if os.geteuid() != 0:
        return True
    for folder in (path.parent, *path.parent.parents):
        if folder == root.parent:
            break
        facts = folder.lstat() if os.path.lexists(folder) else None
        if facts and (facts.st_uid != 0 or (not stat.S_ISLNK(facts.st_mode) and facts.st_mode & 0o022)):
            return False
    return True
