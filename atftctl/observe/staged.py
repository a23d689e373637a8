"""Where a staged rollback stands, and what the trainer does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.errors import Refused
from atftctl.domain.staged import StagedState
from atftctl.domain.window import Window
from atftctl.host import makers, records
from atftctl.host.errors import HostError
from atftctl.host.files import read_bytes
from atftctl.host.layout import Layout
from atftctl.observe import process, runs


def read(layout: Layout) -> StagedState | None:
    """Raises Refused for a record that can't be read."""
    try:
        return StagedState.from_json(records.unseal(read_bytes(layout.staged), str(layout.staged)))
    except FileNotFoundError:
        return None
    except (OSError, HostError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"where the staged rollback stands can't be read: {error}", then=f"atftctl history; then rm {layout.staged}"
        ) from None


def at_work(state: StagedState) -> bool:
    """Does the process that carries it out still live?"""
    return makers.alive(state.maker)


def look(layout: Layout, state: StagedState, command: Sequence[str]) -> tuple[Window, str]:
    """The trainer since its start; and why that says nothing about the stage, since somebody else has the trainer in
    hand ("" where nobody has)."""
    found, record = process.observe(layout, command), process.read_record(layout)
    rows = runs.metrics_since(layout.root, record.metrics_from) if record else []
    fatal = None if found.alive else found.last_event
    others = ""
    if record is None or {record.run_id, found.run_id} != {state.run_id}:
        others = "another trainer was started meanwhile"
    elif "stopped" in (found.state, record.wanted) or found.state in ("stopping", "elsewhere"):
        others = "the trainer was stopped on purpose"
    return Window(rows, found.alive, fatal, found.silent_s), others
