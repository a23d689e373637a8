"""The progress of `reenable`, `.atftctl/reenable.json`, and its halt, `.atftctl/reenable.halt.json`.

The halt has a file of its own: it is written without the project's lock, which the phase that is to be halted may hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atftctl.domain.errors import Refused
from atftctl.domain.reenabling import Halt, Reenabling
from atftctl.host import footprint
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import read_bytes
from atftctl.host.process import owner
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

MAX_BYTES = 1 << 20


def read(layout: Layout) -> Reenabling | None:
    """The progress; None where no phase was begun. Raises Refused where it can't be read."""
    try:
        body = _body(layout.reenable)
        return Reenabling.from_json(body) if body is not None else None
    except (OSError, HostError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(layout.reenable, error) from None


def write(layout: Layout, state: Reenabling) -> None:
    """Write the progress durably. Raises OSError."""
    write_durably(layout.reenable, sealed_records.seal(state.to_json()), 0o600)


def clear(layout: Layout) -> None:
    """Remove the progress: the next phase is phase 1. A halt stays. Raises OSError."""
    if remove(layout.reenable):
        fsync_dir(layout.state)


def is_running(state: Reenabling) -> bool:
    """Is the atftctl process that changes or watches a phase still alive?"""
    return bool(state.maker) and owner.alive(state.maker)


def read_halt(layout: Layout) -> Halt | None:
    """The halt; None where there is none. A halt that can't be read counts as one: it may be real."""
    try:
        body = _body(layout.reenable_halt)
        return Halt(*(str(body[name]) for name in ("operator", "at", "reason"))) if body is not None else None
    except (OSError, HostError, KeyError) as error:
        return Halt("?", "?", tr("its file can't be read: {reason}", reason=reason(error)))


def write_halt(layout: Layout, halt: Halt) -> None:
    """Halt the phases. Raises OSError."""
    with footprint.of_file(layout.reenable_halt, tr("halted the phases")):
        write_durably(layout.reenable_halt, sealed_records.seal(vars(halt)), 0o600)


def lift_halt(layout: Layout) -> None:
    """Remove the halt. Raises OSError."""
    with footprint.of_file(layout.reenable_halt, tr("lifted the halt of the phases")):
        if remove(layout.reenable_halt):
            fsync_dir(layout.state)


def _body(path: Path) -> dict[str, Any] | None:
    try:
        return sealed_records.unseal(read_bytes(path, MAX_BYTES), path.name)
    except FileNotFoundError:
        return None


def _unreadable(path: Path, error: Exception) -> Refused:
    return Refused(
        tr("the progress of the phases can't be read: {reason}", reason=reason(error)),
        hint=tr("check the operations (atftctl history), then run: rm {path}", path=path),
    )
