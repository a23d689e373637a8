"""The user whose rights a program gets. Where root works in a user's project, every program there is started as that
user: nothing that the user could have written may run as root."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from atftctl.host.errors import reason
from atftctl.protocol.messages import tr

# What another user's program gets of root's environment: where programs and libraries are, how texts are shown, how
# much of the machine may be used. Everything else may be a secret of root's.
PASSED = frozenset(
    ("PATH", "LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
     "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE",
     "PYTHONNOUSERSITE", "PYTHONWARNINGS", "PYTHONFAULTHANDLER", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
     "SSL_CERT_FILE", "SSL_CERT_DIR")
)  # fmt: skip
PASSED_PREFIXES = (
    "LC_", "ATFTCTL_", "CUDA_", "OMP_", "MKL_", "OPENBLAS_", "NCCL_", "PYTORCH_", "GIT_AUTHOR_", "GIT_COMMITTER_",
)  # fmt: skip
SECRET = re.compile("TOKEN|SECRET|PASS|KEY|CREDENTIAL")
ROUTE = "ATFT_ROUTE_"  # variables that root may set for the routes of a user's runbook


@dataclass(frozen=True)
class User:
    """Another user, whose rights a child process gets."""

    uid: int
    gid: int
    name: str = ""
    home: str = ""
    shell: str = "/bin/sh"

    @property
    def label(self) -> str:
        """What people call the user."""
        return self.name or f"uid {self.uid}"


class Chosen(dict[str, str]):
    """An environment that was chosen variable by variable: another user's program gets all of it."""


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
    return User(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir, entry.pw_shell or "/bin/sh")


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
    return {"user": user.uid, "group": user.gid, "extra_groups": groups_of(user)}


def groups_of(user: User) -> list[int]:
    """The supplementary groups of that user."""
    return os.getgrouplist(user.name, user.gid) if user.name else [user.gid]


def environment(env: Mapping[str, str], user: User | None) -> dict[str, str]:
    """The environment `env` for a program of that user. Of what we have inherited only the names are kept that hold no
    secret: the user can read the environment of the user's own processes. What was set for this program is kept."""
    if user is None:
        return dict(env)
    kept = env if isinstance(env, Chosen) else {n: v for n, v in env.items() if _may_pass(n) or os.environ.get(n) != v}
    return {**kept, "HOME": user.home, "USER": user.name, "LOGNAME": user.name, "SHELL": user.shell}


def inherited(user: User | None, more: Collection[str] = ()) -> Chosen:
    """What a program of that user gets of our own environment. more: names that are passed beside the usual ones."""
    return Chosen({n: v for n, v in os.environ.items() if user is None or _may_pass(n) or n in more})


def passes_route(name: str, user: User | None) -> bool:
    """May a program of that user get the address of a route from this variable? The user has written the runbook, which
    must not be able to name any variable of root's."""
    return user is None or name.startswith(ROUTE)


def _may_pass(name: str) -> bool:
    return (name in PASSED or name.startswith(PASSED_PREFIXES)) and not SECRET.search(name)


def not_started(command: str, error: BaseException, user: User | None) -> str:
    """Say why a program could not be started. The owner of the project may lack a right that root has: to enter the
    folder of the interpreter, for instance."""
    if user and isinstance(error, PermissionError):
        values = {"command": command, "user": user.label, "reason": reason(error)}
        return tr("can't start {command} with the rights of {user}, the owner of the project: {reason}", **values)
    return tr("can't start {command}: {reason}", command=command, reason=reason(error))


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
