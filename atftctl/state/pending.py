"""The change that waits for its confirmation, `.atftctl/pending.json`. At most one waits at a time."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Literal

from atftctl.domain.errors import Refused
from atftctl.domain.pending import Moment, PendingChange
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import rename, write_durably
from atftctl.host.files.folders import fsync_dir, make_dirs
from atftctl.host.files.reading import read_bytes
from atftctl.host.process import table as procs
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

LONGEST = 64 << 10  # bytes that are read
Outcome = Literal["confirmed", "undone", "not-made"]


def moment() -> Moment:
    """Now, on both clocks."""
    return Moment(time.clock_gettime(time.CLOCK_BOOTTIME), procs.boot_id(), datetime.now().astimezone())


def read(layout: Layout) -> PendingChange | None:
    """The change that waits; None where none does. Raises Refused where the record can't be read: it must not count as
    missing."""
    try:
        body = sealed_records.unseal(read_bytes(layout.pending, LONGEST), str(layout.pending))
        return PendingChange.from_json(body)
    except FileNotFoundError:
        return None
    except (OSError, HostError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            tr(
                "the record of the change that waits for its confirmation can't be read: {reason}", reason=reason(error)
            ),
            hint=tr("check the newest operation (atftctl history), then run: rm {path}", path=layout.pending),
        ) from None


def write(layout: Layout, change: PendingChange) -> None:
    """Write the record durably. Raises OSError."""
    write_durably(layout.pending, sealed_records.seal(change.to_json()))


def settle(layout: Layout, change: PendingChange, outcome: Outcome) -> None:
    """The change waits no longer: move its record into the operation's folder, in one durable rename, which needs no
    room on the disk. Called under the project's lock. Raises OSError."""
    folder = layout.operations / change.operation
    make_dirs(folder, 0o700)
    rename(layout.pending, folder / f"{outcome}.json")
    fsync_dir(folder)
    fsync_dir(layout.state)


def settled_as(layout: Layout, operation: str) -> Outcome | None:
    """How the wait of an operation ended; None where it never waited, or still does."""
    outcomes: tuple[Outcome, ...] = ("confirmed", "undone", "not-made")
    return next((outcome for outcome in outcomes if (layout.operations / operation / f"{outcome}.json").exists()), None)
