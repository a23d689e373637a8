"""Starting a process, asking it to stop, killing it, and proof that nobody is left.

A signal goes through a pidfd whose start time was checked after it was opened, so that a pid that was given to
somebody else in between is never signalled.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from atftctl.host.errors import HostError, StillAliveError
from atftctl.host.process import table as procs

if TYPE_CHECKING:
    pass

KILL_WAIT_S = 10.0
ORPHANS_S = 2.0  # for what outlives its parent
POLL_S = 0.05


def send(who: procs.Identity, number: signal.Signals) -> bool:
    """Signal this very process; False where it is gone."""
    try:
        handle = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return False
    try:
        if not procs.alive(who):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise HostError(f"pid {who.pid} belongs to another user; not signalled") from None
    finally:
        os.close(handle)
    return True


def stop(
    who: procs.Identity,
    marker: str,
    *,
    grace_s: float,
    note: Callable[[str], None] = lambda _: None,
    signalled: bool = True,
    uid: int | None = None,
) -> list[int]:
    """Ask (or, where not `signalled`, wait for what was asked otherwise) until one deadline, kill the whole tree, prove
    that nobody is left. `uid`: only processes of this user are its. The pids that had to be killed. Raises
    StillAliveError where something outlives SIGKILL."""
    left = _ask(who, marker, grace_s, uid, signalled=signalled)
    if left:
        note(f"not gone within {grace_s:g} s: killing {len(left)} process{'es' * (len(left) > 1)}")
    killed: set[int] = set()
    deadline = time.monotonic() + KILL_WAIT_S
    while left and time.monotonic() < deadline:
        killed |= {victim.pid for victim in left if send(victim, signal.SIGKILL)}
        time.sleep(POLL_S)
        left = _living(left, who, marker, uid)
    if left:
        raise StillAliveError(sorted(victim.pid for victim in left))
    return sorted(killed)


def _ask(who: procs.Identity, marker: str, grace_s: float, uid: int | None, *, signalled: bool) -> set[procs.Identity]:
    """SIGTERM to the process itself, and, once it is gone, to what it left behind; who is still there at the end."""
    left = procs.members(who, marker, uid)
    if signalled:
        _request(who)
    deadline = time.monotonic() + grace_s
    told = False
    while (left := _living(left, who, marker, uid)) and time.monotonic() < deadline:
        if not told and not procs.alive(who):
            for orphan in left:
                _request(orphan)
            told, deadline = True, min(deadline, time.monotonic() + ORPHANS_S)
        time.sleep(POLL_S)
    return left


def _request(who: procs.Identity) -> None:
    """SIGTERM; and SIGCONT, since a stopped process can't answer."""
    if send(who, signal.SIGTERM):
        send(who, signal.SIGCONT)


def _living(known: set[procs.Identity], who: procs.Identity, marker: str, uid: int | None) -> set[procs.Identity]:
    _reap(who.pid)
    return {one for one in known | procs.members(who, marker, uid) if procs.alive(one)}


def _reap(pid: int) -> None:
    """Where the process is our own child, take its exit status, so that it does not stay as a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
