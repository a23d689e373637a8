"""Names for folders that belong to one process, so that a folder is removed only after its process has ended."""

from __future__ import annotations

import os

from atftctl.host.process import table as procs


def own_name() -> str:
    """The name of this process: "pid-ticks"."""
    this = procs.identify(os.getpid())
    assert this is not None, "this process exists"
    return f"{this.pid}-{this.ticks}"


def alive(name: str) -> bool:
    """Is the process alive that made the folder of this name ("pid-ticks", or "pid-ticks-…")?"""
    pid, ticks = [*name.split("-"), ""][:2]
    return pid.isdigit() and ticks.isdigit() and procs.alive(procs.Identity(int(pid), int(ticks), procs.boot_id()))
