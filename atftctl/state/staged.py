"""The file that says where a staged rollback stands."""

from __future__ import annotations

from atftctl.domain.staged import StagedState
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import fsync_dir
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def write(layout: Layout, state: StagedState) -> None:
    write_durably(layout.staged, sealed_records.seal(state.to_json()), 0o600)


def clear(layout: Layout) -> None:
    if remove(layout.staged):
        fsync_dir(layout.state)
