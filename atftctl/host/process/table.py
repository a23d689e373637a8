"""Processes on Linux: who one is (pid plus start time), which belong to a run, and which carry its mark. Looks only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """One process and no other: its pid, its start in clock ticks since boot, and the boot."""

    pid: int
    ticks: int
    boot: str


@dataclass(frozen=True)
class CommandProcess:
    """A process that runs a command in a folder."""

    pid: int
    ticks: int
    uid: int
    user: str
    command: str


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    session: int
    ticks: int


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def host_and_namespace() -> tuple[str, str]:
    """(host name, pid namespace): a pid means something only there."""
    try:
        return os.uname().nodename, os.readlink("/proc/self/ns/pid")
    except OSError:
        return os.uname().nodename, ""


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name in parentheses may hold anything
    return _Stat(fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def identify(pid: int) -> Identity | None:
    facts = _stat(pid)
    return Identity(pid, facts.ticks, boot_id()) if facts else None


def alive(who: Identity) -> bool:
    """True while this very process runs; a zombie has died, a reused pid is another."""
    facts = _stat(who.pid)
    if facts is None or facts.ticks != who.ticks or facts.state in "ZX":
        return False
    return who.boot == boot_id()


def state_letter(pid: int) -> str:
    facts = _stat(pid)
    return facts.state if facts else ""


def anonymous_mb(pid: int) -> float | None:
    """RssAnon in MB: resident size would count mapped file pages too."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return None
    return None


def members(who: Identity, marker: str, uid: int | None = None) -> set[Identity]:
    """Every living process of a run: the tree below it, its session, and whoever carries `marker` in its environment.

    Parentage alone loses a child that forked twice, a session alone loses torchrun's workers; the marker is
    inherited by all of them. A pid that was given away again proves that the old session is empty: the kernel
    reuses no number that is still a session's. Where the leader is gone, its session counts for those who carry the
    marker only: its number may stand in a record that somebody made up. We and our ancestors are none of them, whatever
    our shell carries. `uid`: only processes of this user.
    """
    if who.boot != boot_id():
        return set()
    table = _table()
    ancestors = _ancestors(table)
    found = set()
    if who.pid in table and table[who.pid].ticks == who.ticks:
        found = {pid for pid, facts in table.items() if who.pid in (pid, facts.session)} - ancestors
    if marker:
        found |= _marked(table, marker, ancestors)
    found = _of_user(found, uid)
    grew = True
    while grew:
        below = {pid for pid, facts in table.items() if facts.parent in found} - found - ancestors
        found |= below
        grew = bool(below)
    return {Identity(pid, table[pid].ticks, who.boot) for pid in _of_user(found, uid)}


def _of_user(pids: set[int], uid: int | None) -> set[int]:
    return pids if uid is None else {pid for pid in pids if _uid(pid) == uid}


def _table() -> dict[int, _Stat]:
    """Every living process."""
    return {pid: facts for pid in _pids() if (facts := _stat(pid)) and facts.state not in "ZX"}


def _ancestors(table: Mapping[int, _Stat]) -> set[int]:
    """We, and all above us."""
    found, pid = set[int](), os.getpid()
    while pid in table and pid not in found:
        found.add(pid)
        pid = table[pid].parent
    return found


def _marked(table: Mapping[int, _Stat], marker: str, ancestors: set[int]) -> set[int]:
    """Who carries the marker. A shell of the operator that carries it too is not the run, nor what else it started: a
    run has sessions of its own."""
    sessions = {table[pid].session for pid in ancestors}
    return {pid for pid, facts in table.items() if facts.session not in sessions and _carries(pid, marker)}


def find_marked(marker: str, uid: int | None = None) -> Identity | None:
    """The oldest living process that carries `marker` in its environment. `uid`: only of this user."""
    table = _table()
    found = [(table[pid].ticks, pid) for pid in _of_user(_marked(table, marker, _ancestors(table)), uid)]
    if not found:
        return None
    ticks, pid = min(found)
    return Identity(pid, ticks, boot_id())


def is_above_us(who: Identity) -> bool:
    """Are we running below this process?"""
    return who.pid in _ancestors(_table())


def carries(who: Identity, marker: str) -> bool:
    """Does this process carry the marker of a run in its environment?"""
    return _carries(who.pid, marker)


def uid_of(who: Identity) -> int | None:
    """The user that a process runs as; None where it is gone."""
    return _uid(who.pid)


def _uid(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def find_command(words: Sequence[str], cwd: Path) -> list[CommandProcess]:
    """Processes whose arguments hold `words` in a row and whose working folder is `cwd`; ours to signal or not."""
    found = []
    for pid in _pids():
        arguments = _read_list(pid, "cmdline")
        if not _holds(arguments, words):
            continue
        facts = _stat(pid)
        try:
            folder = Path(f"/proc/{pid}/cwd").readlink()
            uid = Path(f"/proc/{pid}").stat().st_uid
        except OSError:
            continue
        if facts and facts.state not in "ZX" and folder == cwd.resolve():
            found.append(CommandProcess(pid, facts.ticks, uid, _user(pid, uid), " ".join(arguments)))
    parents = {one.pid for one in found}
    return [one for one in found if (facts := _stat(one.pid)) and facts.parent not in parents]


def named(name: str, folders: set[str]) -> list[int]:
    """Processes of this program whose working folder is one of these."""
    found = []
    for pid in _table():
        arguments = _read_list(pid, "cmdline")
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if folder in folders and arguments and os.path.basename(arguments[0]) == name:
            found.append(pid)
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read_list(pid: int, name: str) -> list[str]:
    try:
        data = Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return []
    return [part.decode("utf-8", "replace") for part in data.split(b"\0") if part]


def _carries(pid: int, marker: str) -> bool:
    return pid != os.getpid() and marker in _read_list(pid, "environ")


def _holds(arguments: Sequence[str], words: Sequence[str]) -> bool:
    size = len(words)
    return bool(words) and any(
        list(arguments[at : at + size]) == list(words) for at in range(len(arguments) - size + 1)
    )


def _user(pid: int, uid: int) -> str:
    try:
        import psutil

        return str(psutil.Process(pid).username())
    except Exception:  # noqa: BLE001 - a name is a courtesy; the uid is the fact
        return f"uid {uid}"
