"""The file that says where a staged rollback stands."""

from __future__ import annotations

from atftctl.domain.staged import StagedState
from atftctl.host import records
from atftctl.host.files import remove, write_durably
from atftctl.host.folders import fsync_dir
from atftctl.host.layout import Layout


def write(layout: Layout, state: StagedState) -> None:
    write_durably(layout.staged, records.seal(state.to_json()), 0o600)


def clear(layout: Layout) -> None:
    if remove(layout.staged):
        fsync_dir(layout.state)
