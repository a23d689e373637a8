"""Where a staged rollback stands, and what the trainer does meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.errors import Refused
from atftctl.domain.staged import StagedState
from atftctl.domain.window import Window
from atftctl.host import procs, records
from atftctl.host.layout import Layout
from atftctl.observe import process, runs


def read(layout: Layout) -> StagedState | None:
    """Raises Refused for a record that can't be read."""
    try:
        return StagedState.from_json(records.unseal(layout.staged.read_bytes(), str(layout.staged)))
    except FileNotFoundError:
        return None
    except (OSError, records.BadRecordError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"where the staged rollback stands can't be read: {error}", then=f"atftctl history; then rm {layout.staged}"
        ) from None


def at_work(state: StagedState) -> bool:
    """Does the process that carries it out still live?"""
    return bool(state.pid) and procs.alive(procs.Identity(state.pid, state.ticks, procs.boot_id()))


def left_alone(layout: Layout, state: StagedState, command: Sequence[str]) -> str:
    """Why what was seen says nothing about the stage: somebody else has the trainer in hand; "" where nobody has. To be
    asked after the look, since a stop comes before it is known for one."""
    record = process.read_record(layout)
    if record is None or record.run_id != state.run_id:
        return "another trainer was started meanwhile"
    if process.observe(layout, command).state in ("stopping", "stopped", "elsewhere"):
        return "the trainer was stopped on purpose"
    return ""


def window(layout: Layout, command: Sequence[str]) -> Window:
    """The recorded trainer since its start."""
    found, record = process.observe(layout, command), process.read_record(layout)
    rows = runs.metrics_since(layout.root, record.metrics_from) if record else []
    fatal = None if found.alive else found.last_event
    return Window(rows, found.alive, fatal, found.silent_s)
