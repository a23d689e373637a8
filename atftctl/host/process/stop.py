"""Stop processes: SIGTERM, then SIGKILL, until none of them is alive.

A signal is sent through a pidfd, and the start time of the process is checked after the pidfd was opened: a new process
that got the same pid is never signalled.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from atftctl.host.errors import HostError, StillAliveError
from atftctl.host.process import table as procs
from atftctl.protocol.messages import tr, trn

KILL_WAIT_S = 10.0  # after SIGKILL
ORPHANS_S = 2.0  # for processes that are alive after their parent has ended, and do nothing when they are asked to stop
POLL_S = 0.05


def stop(
    main: procs.Identity,
    marker: str,
    *,
    grace_s: float,
    note: Callable[[str], None] = lambda _: None,
    signalled: bool = True,
    uid: int | None = None,
) -> list[int]:
    """Stop a process and every process of its run; return the pids that had to be killed.

    SIGTERM is sent first (not where `signalled` is False: the process was asked in another way); after `grace_s`
    seconds everything that is alive is killed. `marker`: see `table.members`. `uid`: only processes of this user.
    `note`: called with a message. Raises StillAliveError where a process survives SIGKILL, HostError.
    """
    began = time.monotonic()
    left = _terminate(main, marker, grace_s, uid, signalled=signalled)
    if left:
        note(
            trn(
                "did not end within {grace_s:g} s: killing {count} process",
                "did not end within {grace_s:g} s: killing {count} processes",
                len(left),
                grace_s=round(time.monotonic() - began),
            )
        )
    killed: set[int] = set()
    deadline = time.monotonic() + KILL_WAIT_S
    while left and time.monotonic() < deadline:
        killed |= {process.pid for process in left if send(process, signal.SIGKILL)}
        time.sleep(POLL_S)
        left = _living(left, main, marker, uid)
    if left:
        raise StillAliveError(sorted(process.pid for process in left))
    return sorted(killed)


def send(process: procs.Identity, number: signal.Signals) -> bool:
    """Send a signal to this process and to no other. False where it has ended. Raises HostError where it belongs to
    another user."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not procs.alive(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise HostError(tr("pid {pid} belongs to another user and was not signalled", pid=process.pid)) from None
    finally:
        os.close(handle)
    return True


def _terminate(
    main: procs.Identity, marker: str, grace_s: float, uid: int | None, *, signalled: bool
) -> set[procs.Identity]:
    """Send SIGTERM to the main process and, once that has ended, to the processes that it left; return those that are
    alive after `grace_s` seconds.

    The main process may be a launcher that ends at once, such as a shell, and what it leaves the trainer, which saves
    now. Processes that do not handle SIGTERM have nothing to do in that time.
    """
    left = procs.members(main, marker, uid)
    if signalled:
        _request(main)
    deadline = time.monotonic() + grace_s
    orphans_asked = False
    while (left := _living(left, main, marker, uid)) and time.monotonic() < deadline:
        if not orphans_asked and not procs.alive(main):
            for orphan in left:
                _request(orphan)
            orphans_asked = True
            if not any(procs.handles(orphan, signal.SIGTERM) for orphan in left):
                deadline = min(deadline, time.monotonic() + ORPHANS_S)
        time.sleep(POLL_S)
    return left


def _request(process: procs.Identity) -> None:
    """Send SIGTERM, and SIGCONT: a stopped process can't react to SIGTERM."""
    if send(process, signal.SIGTERM):
        send(process, signal.SIGCONT)


def _living(known: set[procs.Identity], main: procs.Identity, marker: str, uid: int | None) -> set[procs.Identity]:
    _reap(main.pid)
    return {process for process in known | procs.members(main, marker, uid) if procs.alive(process)}


def _reap(pid: int) -> None:
    """Where the process is our own child, read its exit status, so that it does not stay as a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
