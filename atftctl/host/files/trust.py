"""Whose files atftctl trusts: those of its own user and of root; where root works in a user's project, also those of
the project's owner (every program there then runs as that owner). The operator's config file may name further users,
like git's `safe.directory`."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from atftctl.host.errors import HostError, UntrustedError, reason
from atftctl.host.files.reading import read_bytes
from atftctl.protocol.messages import tr

CONFIG = "atftctl/config.yaml"  # below XDG_CONFIG_HOME
LONGEST = 64 << 10  # bytes that are read of that file
ENTRY = re.compile(r"(uid|gid) (\d{1,10})")


@dataclass(frozen=True)
class Trusted:
    """The users and groups that the operator's config file names as trusted."""

    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    problem: str = ""  # why the config file is not used, or what is wrong in it


def config_path() -> Path:
    """The path of the operator's config file. Root's is in root's home whatever HOME says: sudo may have kept the
    user's HOME."""
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
    """The users and groups that the operator's config file names; none where it can't be read, or where others may
    write it."""
    path = config_path()
    try:
        facts = path.stat()
        if facts.st_uid not in (os.geteuid(), 0) or facts.st_mode & 0o022:
            return Trusted(problem=tr("{path} is ignored: other users can write to it", path=path))
        return _parse(read_bytes(path.resolve(), LONGEST))
    except FileNotFoundError:
        return Trusted()
    except (OSError, HostError) as error:
        return Trusted(problem=tr("{path} can't be read: {reason}", path=path, reason=reason(error)))


def _parse(data: bytes) -> Trusted:
    from atftctl.host.yaml_text.read import read

    value = read(data).value
    entries = value.get("trust", []) if isinstance(value, dict) else []
    matches = [ENTRY.fullmatch(str(entry)) for entry in entries] if isinstance(entries, list) else [None]
    uids = frozenset(int(match[2]) for match in matches if match and match[1] == "uid")
    gids = frozenset(int(match[2]) for match in matches if match and match[1] == "gid")
    if all(matches):
        return Trusted(uids, gids)
    return Trusted(uids, gids, tr("trust in {path} must be a list such as [uid 1001, gid 500]", path=config_path()))


def unmapped() -> frozenset[int]:
    """The uid by which this user namespace shows every user that it does not map; empty where it maps all users."""
    try:
        mapped = Path("/proc/self/uid_map").read_text().split()
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return frozenset()
    return frozenset() if mapped == ["0", "0", "4294967295"] else frozenset({overflow})


def is_foreign(facts: os.stat_result, project: os.stat_result) -> bool:
    """Does a file belong to a user who is not trusted? `project`: the stat result of the project's folder."""
    named = operators()
    return facts.st_uid not in (_own(project) | named.uids) and facts.st_gid not in named.gids


def why_untrusted(facts: os.stat_result, project: os.stat_result) -> str:
    """Why a file or folder is not trusted; "" where it is. `project`: the stat result of the project's folder."""
    if is_foreign(facts, project):
        return tr("it belongs to {owner}", owner=_owner(facts))
    if facts.st_mode & stat.S_IWOTH and not stat.S_ISLNK(facts.st_mode):
        return tr("it is writable by everyone")
    if facts.st_mode & stat.S_IWGRP and not (_is_trusted_group(facts, project) or facts.st_gid in operators().gids):
        return tr("it is writable by its group (gid {gid})", gid=facts.st_gid)
    return ""


def refuse(path: Path, project: os.stat_result) -> None:
    """Raises UntrustedError where `path` is not trusted; it names the path, its owner and mode, and what the operator
    can do. A missing path is no error."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    except PermissionError:
        path, facts = path.parent, path.parent.stat()
        text = tr("no permission to look into {folder}", folder=describe(path, facts))
        raise UntrustedError(text, hint=advice(facts, str(path))) from None
    if stat.S_ISLNK(facts.st_mode):
        raise UntrustedError(
            tr("{path} is a symlink; atftctl never makes one there", path=path),
            hint=tr("check where the symlink points, then run: rm {path}", path=path),
        )
    if why := why_untrusted(facts, project):
        text = tr("{file} is not trusted: {reason}", file=describe(path, facts), reason=why)
        raise UntrustedError(text, hint=advice(facts, str(path)))


def describe(path: Path, facts: os.stat_result) -> str:
    """The path with its owner, group and mode."""
    return tr(
        "{path} (owner uid {uid}, gid {gid}, mode {mode:04o})",
        path=path,
        uid=facts.st_uid,
        gid=facts.st_gid,
        mode=stat.S_IMODE(facts.st_mode),
    )


def advice(facts: os.stat_result, path: str) -> str:
    """A hint: what the operator can do about a file or folder that is not trusted."""
    if facts.st_uid == os.geteuid() and facts.st_uid not in unmapped():
        if facts.st_mode & stat.S_IRWXU != stat.S_IRWXU and stat.S_ISDIR(facts.st_mode):
            return tr("chmod -R u+rwX {path}", path=path)
        others = "o-w" if facts.st_mode & stat.S_IWOTH else "g-w"
        return tr("chmod -R {others} {path}", others=others, path=path)
    shared = f", gid {facts.st_gid}" if facts.st_mode & stat.S_ISGID else ""
    line = f"trust: [uid {facts.st_uid}{shared}]"
    if problem := operators().problem:
        return tr(
            "if you trust that user, add this line to {path}: {line} ({problem})",
            path=config_path(),
            line=line,
            problem=problem,
        )
    return tr("if you trust that user, add this line to {path}: {line}", path=config_path(), line=line)


def _own(project: os.stat_result) -> frozenset[int]:
    """The users that are always trusted. The project's owner is one of them only where root works for that owner."""
    own = {os.geteuid(), 0} | ({project.st_uid} if os.geteuid() == 0 else set())
    return frozenset(own) - unmapped()


def _is_trusted_group(facts: os.stat_result, project: os.stat_result) -> bool:
    """May the file's group write it? Yes where that group may write the whole project anyway, or is the owner's own
    (distributions make one for each user, with the user's number)."""
    if facts.st_gid in (0, facts.st_uid) or stat.S_ISLNK(facts.st_mode):
        return True
    return facts.st_gid == project.st_gid and bool(project.st_mode & stat.S_IWGRP)


def _owner(facts: os.stat_result) -> str:
    import pwd

    try:
        return f"uid {facts.st_uid} ({pwd.getpwuid(facts.st_uid).pw_name})"
    except KeyError:
        return f"uid {facts.st_uid}"
