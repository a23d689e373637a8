"""Children of a probe: forked, limited, and killed together with everything that they started. Linux only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
KILLED_FIRST = 900  # of 1,000: the kernel kills a probe before it kills the trainer in service


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exit at once where the parent has ended already."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that a process that a probe left can be found."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans(known: Collection[int]) -> None:
    """Kill children of this process that are not `known`: processes that a child has left behind.

    What such a process leaves behind becomes a child of this one in its turn.
    """
    while left := [pid for pid in _children() if pid not in known]:
        for pid in left:
            kill_tree(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def kill_tree(pid: int) -> None:
    """Kill a process, and its process group if it leads one."""
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def limit_data(pid: int, size_mb: int) -> None:
    """Limit the data segment of a process; 0 is no limit. The limit may be changed later."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
    wanted = size_mb << 20 if size_mb else hard
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.prlimit(pid, resource.RLIMIT_DATA, (wanted, hard))


def anonymous_mb(pid: int) -> float:
    """Return the anonymous memory of a process in MB; 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def be_killed_first() -> None:
    """Ask the kernel to kill this process first when the machine runs out of memory."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(KILLED_FIRST))


def _children() -> list[int]:
    """Return the pids of this process's children, from the process table: the kernel may have no list of them."""
    own, pids = os.getpid(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == own:
                pids.append(int(folder.name))
    return pids


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
