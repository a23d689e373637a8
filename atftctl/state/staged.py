"""The file that says where a staged rollback stands."""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.domain.staged import StagedState
from atftctl.host.errors import HostError
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import fsync_dir
from atftctl.host.files.reading import read_bytes
from atftctl.host.process import owner
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def write(layout: Layout, state: StagedState) -> None:
    write_durably(layout.staged, sealed_records.seal(state.to_json()), 0o600)


def clear(layout: Layout) -> None:
    if remove(layout.staged):
        fsync_dir(layout.state)


def read(layout: Layout) -> StagedState | None:
    """Raises Refused for a record that can't be read."""
    try:
        return StagedState.from_json(sealed_records.unseal(read_bytes(layout.staged), str(layout.staged)))
    except FileNotFoundError:
        return None
    except (OSError, HostError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"where the staged rollback stands can't be read: {error}", hint=f"atftctl history; then rm {layout.staged}"
        ) from None


def is_running(state: StagedState) -> bool:
    """Does the process that carries it out still live?"""
    return owner.alive(state.maker)
