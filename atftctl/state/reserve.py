"""The reserve, `.atftctl/reserve`: a file that is given up on a full disk, so that atftctl can still work."""

from __future__ import annotations

import errno
from contextlib import suppress

from atftctl.host.files.durable import preallocate, remove
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import free_bytes
from atftctl.state.layout import Layout

FULL = (errno.ENOSPC, errno.EDQUOT)  # the errors of a full disk
RESERVE = 4 << 20  # bytes; journal, staged configs, evidence and a snapshot of the configs take less than 1 MiB
LOW = 6 << 20  # bytes; with less free space the reserve is given up


def prepare(layout: Layout) -> None:
    """Make the folder `.atftctl/`. On a full disk the reserve is given up first, so that the folder can be written."""
    if layout.reserve.exists() and free_bytes(layout.state) < LOW:
        release(layout)
    for folder in (layout.state, layout.journal, layout.operations):
        make_dirs(folder, 0o700)


def release(layout: Layout) -> bool:
    """Give the reserve up: remove its file. True if there was one."""
    return remove(layout.reserve)


def refill(layout: Layout) -> None:
    """Make the reserve again where there is room for it. Raises nothing: the operation is over by now."""
    if layout.reserve.exists():
        return
    with suppress(OSError):
        if free_bytes(layout.state) > LOW + RESERVE:
            try:
                preallocate(layout.reserve, RESERVE)
            except OSError:
                remove(layout.reserve)
