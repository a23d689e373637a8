"""The tool's own folder, and the reserve that lets it work on a full disk."""

from __future__ import annotations

import errno
from contextlib import suppress

from atftctl.host.files.durable import preallocate, remove
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import free_bytes
from atftctl.state.layout import Layout

FULL = (errno.ENOSPC, errno.EDQUOT)
RESERVE = 4 << 20  # journal, staged configs, evidence and a snapshot of the configs take under 1 MiB
LOW = 6 << 20


def prepare(layout: Layout) -> None:
    """Make `.atftctl/`; give the reserve up where the disk is full already, so that the rest can be written."""
    if layout.reserve.exists() and free_bytes(layout.state) < LOW:
        release(layout)
    for folder in (layout.state, layout.journal, layout.operations):
        make_dirs(folder, 0o700)


def release(layout: Layout) -> bool:
    """True if there was a reserve to give up."""
    return remove(layout.reserve)


def refill(layout: Layout) -> None:
    """Take the reserve back where there is room for it. Never an error: the operation is over."""
    if layout.reserve.exists():
        return
    with suppress(OSError):
        if free_bytes(layout.state) > LOW + RESERVE:
            try:
                preallocate(layout.reserve, RESERVE)
            except OSError:
                remove(layout.reserve)
