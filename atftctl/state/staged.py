"""The progress of a staged rollback: `.atftctl/staged.json`."""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.domain.staged import StagedState
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import read_bytes
from atftctl.host.process import owner
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def read(layout: Layout) -> StagedState | None:
    """The progress of the staged rollback; None where there is none. Raises Refused where it can't be read."""
    try:
        return StagedState.from_json(sealed_records.unseal(read_bytes(layout.staged), str(layout.staged)))
    except FileNotFoundError:
        return None
    except (OSError, HostError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            tr("the progress of the staged rollback can't be read: {reason}", reason=reason(error)),
            hint=tr("check the operations (atftctl history), then run: rm {path}", path=layout.staged),
        ) from None


def write(layout: Layout, state: StagedState) -> None:
    """Write the progress durably. Raises OSError."""
    write_durably(layout.staged, sealed_records.seal(state.to_json()), 0o600)


def clear(layout: Layout) -> None:
    """Remove the file: no staged rollback is in progress. Raises OSError."""
    if remove(layout.staged):
        fsync_dir(layout.state)


def is_running(state: StagedState) -> bool:
    """Is the atftctl process that carries it out still alive?"""
    return owner.alive(state.maker)
