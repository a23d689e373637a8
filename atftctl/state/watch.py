"""The files of a watcher: its state, `.atftctl/watch.json`, and its heartbeat, `.atftctl/watch.heartbeat.json`.

The state is one sealed record, so that the places up to which files were read and what was concluded from them fit each
other after a kill at any instant. The heartbeat is written while the watcher sees, and only then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from atftctl.host.errors import HostError
from atftctl.host.files.durable import open_own, write_durably
from atftctl.host.files.folders import make_dirs, opened
from atftctl.host.files.reading import read_bytes
from atftctl.protocol import is_number
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

LONGEST = 4 << 20  # bytes that are read
BEAT_BYTES = 256


def read(layout: Layout) -> dict[str, Any] | None:
    """The state that was written last; None where there is none. Raises HostError where it is damaged, OSError."""
    try:
        return sealed_records.unseal(read_bytes(layout.watch, LONGEST), layout.watch.name)
    except FileNotFoundError:
        return None


def write(layout: Layout, body: Mapping[str, Any]) -> None:
    """Write the state durably. Raises OSError, HostError."""
    make_dirs(layout.state, 0o700)
    write_durably(layout.watch, sealed_records.seal(body), 0o600)


class Heart:
    """Writes the heartbeat of a watcher: in place and always as long, so that it works on a full disk, too."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._handle = -1

    def beat(self, now: float, step: int, generation: int, every: float) -> None:
        """The watcher sees. now: in Unix seconds. every: seconds between two looks; 0 where there is one. Raises
        OSError, HostError."""
        path = self._layout.watch_heartbeat
        if self._handle < 0 or not _is_at(self._handle, path):
            self.close()
            with opened(path.parent) as folder:
                self._handle, _ = open_own(path.name, os.O_RDWR, folder)
        beat = {"t": now, "pid": os.getpid(), "step": step, "generation": generation, "every": every, "sees": True}
        os.pwrite(self._handle, json.dumps(beat).ljust(BEAT_BYTES).encode(), 0)

    def close(self) -> None:
        """Close the file; it stays."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def heartbeat(layout: Layout) -> Mapping[str, Any]:
    """The last heartbeat of a watcher: `t` (Unix seconds), `pid`, `step`, `generation`, `every` (seconds between two
    looks, 0 where that is not known); empty where there is none."""
    with suppress(OSError, HostError, ValueError, RecursionError):
        beat = json.loads(read_bytes(layout.watch_heartbeat, BEAT_BYTES))
        if isinstance(beat, dict) and is_number(beat.get("t")):
            every = beat.get("every")
            return {**beat, "every": every if is_number(every) else 0.0}
    return {}


def _is_at(handle: int, path: os.PathLike[str]) -> bool:
    """Has the open file still this path?"""
    try:
        there = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - as fast as it can be: twice a second, for days
    except OSError:
        return False
    here = os.fstat(handle)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
