"""Whose files are obeyed: ours, root's, and, when we are root, those of the owner of the project (whose rights then
everything has that runs there). Others only where the operator's own config file says so, as git's `safe.directory`.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from atftctl.host.errors import HostError, UntrustedError, reason
from atftctl.host.files.reading import read_bytes

CONFIG = "atftctl/config.yaml"  # below XDG_CONFIG_HOME
LONGEST = 64 << 10  # bytes of that file
ENTRY = re.compile(r"(uid|gid) (\d{1,10})")


@dataclass(frozen=True)
class Trusted:
    """Users and groups whose files are obeyed beside ours and root's."""

    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    problem: str = ""  # why the operator's config file says nothing


def config_path() -> Path:
    """The operator's own config file. Root's is in root's home, whatever HOME says: sudo may have kept the user's."""
    import pwd

    try:
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        home = Path(os.environ.get("HOME") or "/")
    if os.geteuid() == 0:
        return home / ".config" / CONFIG
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME") or home) / ".config") / CONFIG


@cache
def operators() -> Trusted:
    """What the operator's config file says; nobody where it can't be read, or is not the operator's alone to write."""
    path = config_path()
    try:
        facts = path.stat()
        if facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & 0o022:
            return Trusted(problem=f"{path} could have been written by others, and is not read")
        return _parse(read_bytes(path.resolve(), LONGEST))
    except FileNotFoundError:
        return Trusted()
    except (OSError, HostError) as error:
        return Trusted(problem=f"{path} can't be read: {reason(error)}")


def _parse(data: bytes) -> Trusted:
    from atftctl.host.yaml_text.read import read

    value = read(data).value
    entries = value.get("trust", []) if isinstance(value, dict) else []
    found = [ENTRY.fullmatch(str(entry)) for entry in entries] if isinstance(entries, list) else [None]
    uids = frozenset(int(match[2]) for match in found if match and match[1] == "uid")
    gids = frozenset(int(match[2]) for match in found if match and match[1] == "gid")
    wrong = "" if all(found) else f"trust in {config_path()} is a list such as [uid 1001, gid 500]"
    return Trusted(uids, gids, wrong)


def unmapped() -> frozenset[int]:
    """The uid that stands for every user whom this user namespace does not know: it is nobody in particular."""
    try:
        mapped = Path("/proc/self/uid_map").read_text().split()
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return frozenset()
    return frozenset() if mapped == ["0", "0", "4294967295"] else frozenset({overflow})


def is_foreign(facts: os.stat_result, project: os.stat_result) -> bool:
    """Does it belong to somebody who is not trusted?"""
    named = operators()
    return facts.st_uid not in (_own(project) | named.uids) and facts.st_gid not in named.gids


def why_untrusted(facts: os.stat_result, project: os.stat_result) -> str:
    """Why a file or folder is not obeyed in a project whose folder has these facts; "" where it is."""
    if is_foreign(facts, project):
        return f"it belongs to {_owner(facts)}"
    if facts.st_mode & stat.S_IWOTH and not stat.S_ISLNK(facts.st_mode):
        return "it is writable by everyone"
    if facts.st_mode & stat.S_IWGRP and not (_group_is_no_other(facts, project) or facts.st_gid in operators().gids):
        return f"it is writable by its group (gid {facts.st_gid})"
    return ""


def _own(project: os.stat_result) -> frozenset[int]:
    """Users whose files are obeyed in any case. Who owns the project has a say there only where root acts for them."""
    own = {os.geteuid(), 0} | ({project.st_uid} if os.geteuid() == 0 else set())
    return frozenset(own) - unmapped()


def _group_is_no_other(facts: os.stat_result, project: os.stat_result) -> bool:
    """Those who may write here may write all of the project, or the group is the owner's own (as distributions make one
    for each user, with the user's number)."""
    if facts.st_gid in (0, facts.st_uid) or stat.S_ISLNK(facts.st_mode):
        return True
    return facts.st_gid == project.st_gid and bool(project.st_mode & stat.S_IWGRP)


def _owner(facts: os.stat_result) -> str:
    import pwd

    try:
        return f"uid {facts.st_uid} ({pwd.getpwuid(facts.st_uid).pw_name})"
    except KeyError:
        return f"uid {facts.st_uid}"


def refuse(path: Path, project: os.stat_result) -> None:
    """Raises UntrustedError, which names path, owner, mode and what the operator can do, where `path` is not to be
    obeyed; nothing where it is not there."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    except PermissionError:
        path, facts = path.parent, path.parent.stat()
        raise UntrustedError(f"{describe(path, facts)} is closed to us", hint=advice(facts, str(path))) from None
    if stat.S_ISLNK(facts.st_mode):
        raise UntrustedError(f"{path} is a symlink; atftctl never makes one there", hint=f"look at it, then: rm {path}")
    if why := why_untrusted(facts, project):
        raise UntrustedError(f"{describe(path, facts)} is not obeyed: {why}", hint=advice(facts, str(path)))


def describe(path: Path, facts: os.stat_result) -> str:
    return f"{path} (owner uid {facts.st_uid}, gid {facts.st_gid}, mode {stat.S_IMODE(facts.st_mode):04o})"


def advice(facts: os.stat_result, path: str) -> str:
    """What the operator can do about a file or folder with these facts that is not obeyed."""
    if facts.st_uid == os.geteuid() and facts.st_uid not in unmapped():
        if facts.st_mode & stat.S_IRWXU != stat.S_IRWXU and stat.S_ISDIR(facts.st_mode):
            return f"chmod -R u+rwX {path}"
        others = "o-w" if facts.st_mode & stat.S_IWOTH else "g-w"
        return f"chmod -R {others} {path}"
    shared = f", gid {facts.st_gid}" if facts.st_mode & stat.S_ISGID else ""
    line = f"trust: [uid {facts.st_uid}{shared}]"
    problem = operators().problem
    return f"if you trust them, put this line into {config_path()}: {line}" + (f" ({problem})" if problem else "")
