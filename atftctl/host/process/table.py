"""Processes on Linux: their identity (pid and start time), and which of them belong to a run. Nothing here sends a
signal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEAD = "ZX"  # the state letters of a process that has ended


@dataclass(frozen=True)
class Identity:
    """One process and no other: its pid, its start time in clock ticks since boot, and the id of the boot."""

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
    """The id that the kernel made at the last boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


MACHINE_NAMESPACE = "pid:[4026531836]"  # of the machine itself, in every Linux (PROC_PID_INIT_INO)


def host_and_namespace() -> tuple[str, str]:
    """(host name, pid namespace): a pid is valid only there. The namespace is "" where it can't be read."""
    try:
        return os.uname().nodename, os.readlink("/proc/self/ns/pid")
    except OSError:
        return os.uname().nodename, ""


def identify(pid: int) -> Identity | None:
    """The identity of the process with this pid; None where there is none."""
    facts = _stat(pid)
    return Identity(pid, facts.ticks, boot_id()) if facts else None


def alive(process: Identity) -> bool:
    """Is this process running? False for a zombie, and for another process that got the same pid."""
    facts = _stat(process.pid)
    if facts is None or facts.ticks != process.ticks or facts.state in DEAD:
        return False
    return process.boot == boot_id()


def state_letter(pid: int) -> str:
    """The state of a process as in proc(5): R, S, D, …; "" where there is none."""
    facts = _stat(pid)
    return facts.state if facts else ""


def uid_of(process: Identity) -> int | None:
    """The user that a process runs as; None where it has ended."""
    return _uid(process.pid)


def handles(process: Identity, number: int) -> bool:
    """Has this process a handler of its own for a signal?"""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(errors="replace").splitlines()
        caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return False
    return bool(caught >> (number - 1) & 1)


def anonymous_mb(pid: int) -> float | None:
    """The anonymous memory (RssAnon) of a process in MiB; None where it has ended. Resident size would also count
    mapped file pages."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return None
    return None


def is_above_us(process: Identity) -> bool:
    """Is this process an ancestor of our own process, or our own?"""
    return process.pid in _ancestors(_table())


def carries(process: Identity, marker: str) -> bool:
    """Has this process the marker of a run (`NAME=VALUE`) in its environment?"""
    return _carries(process.pid, marker)


def members(main: Identity, marker: str, uid: int | None = None) -> set[Identity]:
    """Every living process of a run: the descendants of `main`, its session, and all processes with `marker` in their
    environment. `uid`: only processes of this user.

    Descent alone misses a child that forked twice, and a session alone misses the workers of torchrun; all of them
    inherit the marker. Where the pid of `main` was given to another process its old session is empty: the kernel reuses
    no number that is the id of a session. Where `main` has ended, only the marker counts for its session: the pid in a
    record may be invented. Our own process and its ancestors are never members, whatever their environment holds.
    """
    if main.boot != boot_id():
        return set()
    table = _table()
    ancestors = _ancestors(table)
    pids: set[int] = set()
    if main.pid in table and table[main.pid].ticks == main.ticks:
        pids = {pid for pid, facts in table.items() if main.pid in (pid, facts.session)} - ancestors
    if marker:
        pids |= _marked(table, marker, ancestors)
    pids = _of_user(pids, uid)
    grew = True
    while grew:
        children = {pid for pid, facts in table.items() if facts.parent in pids} - pids - ancestors
        pids |= children
        grew = bool(children)
    return {Identity(pid, table[pid].ticks, main.boot) for pid in _of_user(pids, uid)}


def find_marked(marker: str, uid: int | None = None) -> Identity | None:
    """The oldest living process with `marker` in its environment; None where there is none. `uid`: only processes of
    this user."""
    table = _table()
    marked = [(table[pid].ticks, pid) for pid in _of_user(_marked(table, marker, _ancestors(table)), uid)]
    if not marked:
        return None
    ticks, pid = min(marked)
    return Identity(pid, ticks, boot_id())


def find_command(matches: Callable[[Sequence[str]], bool], is_place: Callable[[Path], bool]) -> list[CommandProcess]:
    """The processes of all users whose command line and whose working folder are wanted. Children of such processes are
    left out."""
    matching = []
    for pid in _pids():
        command = _read_list(pid, "cmdline")
        if not command or not matches(command):
            continue
        facts = _stat(pid)
        try:
            folder = Path(f"/proc/{pid}/cwd").readlink()
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        if facts and facts.state not in DEAD and is_place(folder):
            matching.append(CommandProcess(pid, facts.ticks, uid, _user(pid, uid), " ".join(command)))
    pids = {process.pid for process in matching}
    return [process for process in matching if (facts := _stat(process.pid)) and facts.parent not in pids]


def named(name: str, folders: set[str]) -> list[int]:
    """The pids of processes that run this program in one of these working folders."""
    pids = []
    for pid in _table():
        command = _read_list(pid, "cmdline")
        try:
            folder = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if folder in folders and command and os.path.basename(command[0]) == name:
            pids.append(pid)
    return pids


def _table() -> dict[int, _Stat]:
    """Every living process, by pid."""
    return {pid: facts for pid in _pids() if (facts := _stat(pid)) and facts.state not in DEAD}


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> _Stat | None:
    data = _read(pid, "stat")
    if not data:
        return None
    fields = data[data.rindex(b")") + 2 :].split()  # the name in parentheses may contain anything, also half a letter
    return _Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def _ancestors(table: Mapping[int, _Stat]) -> set[int]:
    """The pids of our own process and all its ancestors."""
    pids, pid = set[int](), os.getpid()
    while pid in table and pid not in pids:
        pids.add(pid)
        pid = table[pid].parent
    return pids


def _marked(table: Mapping[int, _Stat], marker: str, ancestors: set[int]) -> set[int]:
    """The pids with the marker in their environment. A shell of the operator may have it too; that shell and its other
    children are left out by their session: a run has sessions of its own."""
    sessions = {table[pid].session for pid in ancestors}
    return {pid for pid, facts in table.items() if facts.session not in sessions and _carries(pid, marker)}


def _of_user(pids: set[int], uid: int | None) -> set[int]:
    return pids if uid is None else {pid for pid in pids if _uid(pid) == uid}


def _uid(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _read_list(pid: int, name: str) -> list[str]:
    """A file of /proc/PID that holds strings with a zero byte after each; empty where it can't be read."""
    return [part.decode("utf-8", "replace") for part in _read(pid, name).split(b"\0") if part]


def _read(pid: int, name: str) -> bytes:
    """A file of /proc/PID; empty where it can't be read. Each command reads hundreds: no object is made on the way."""
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _carries(pid: int, marker: str) -> bool:
    return pid != os.getpid() and os.fsencode(marker) in _read(pid, "environ").split(b"\0")


def _user(pid: int, uid: int) -> str:
    try:
        import psutil

        return str(psutil.Process(pid).username())
    except Exception:  # noqa: BLE001 - the name is only shown to people; the uid is what counts
        return f"uid {uid}"
