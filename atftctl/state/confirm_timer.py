"""The process that undoes an unconfirmed change in time, `.atftctl/confirm-timer.json`; that process writes it."""

from __future__ import annotations

import os
from pathlib import Path

from atftctl.host.files.durable import write_durably
from atftctl.host.process import table as procs
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def write(layout: Layout, operation: str) -> None:
    """Record this process as the timer of an operation: it is ready. Raises OSError."""
    this = procs.identify(os.getpid())
    assert this is not None, "this process exists"
    write_durably(layout.confirm_timer, sealed_records.seal({"operation": operation, **vars(this)}))


def living(layout: Layout, operation: str) -> procs.Identity | None:
    """The timer of this operation, where it is alive and works in this project; None otherwise."""
    body = sealed_records.try_read(layout.confirm_timer)
    if body.get("operation") != operation:
        return None
    try:
        who = procs.Identity(int(body["pid"]), int(body["ticks"]), str(body["boot"]))
    except (KeyError, TypeError, ValueError):
        return None
    return who if procs.alive(who) and _works_in(who.pid, layout) else None


def _works_in(pid: int, layout: Layout) -> bool:
    """Is the project's folder its working folder? Not so in a copy of the project, which has the record, too. The
    folder of another user's process can't be seen; then it counts as this one."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(layout.root)
    except PermissionError:
        return True
    except OSError:
        return False
