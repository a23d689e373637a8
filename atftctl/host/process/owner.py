"""Folders that bear the name of the process that made them, so that nobody takes one from under a living process."""

from __future__ import annotations

import os

from atftctl.host.process import table as procs


def own_name() -> str:
    """ "pid-ticks" of this process."""
    who = procs.identify(os.getpid())
    assert who is not None, "we run"
    return f"{who.pid}-{who.ticks}"


def alive(name: str) -> bool:
    """Does the maker of a folder whose name begins so still live?"""
    pid, ticks = [*name.split("-"), ""][:2]
    return pid.isdigit() and ticks.isdigit() and procs.alive(procs.Identity(int(pid), int(ticks), procs.boot_id()))
