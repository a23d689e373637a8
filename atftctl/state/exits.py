"""How the processes of a run ended, `.atftctl/exits/RUN.json`: written by the parent of a trainer that writes no events
(host/process/keeper.py). Without the file, or where the parent was killed, the end is not known."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.record import record
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.state import sealed_records
from atftctl.state.layout import Layout

KEPT = 20  # runs whose ends are kept


@record
class End:
    """How one process ended. `code`: its exit code, or the negative number of the signal that killed it. `time`: when,
    in Unix seconds."""

    pid: int
    code: int
    time: float


def place(layout: Layout, run_id: str) -> Path:
    """The file of a run."""
    return layout.state / "exits" / f"{run_id}.json"


def prepare(layout: Layout, run_id: str) -> Path:
    """Make room for the file of a new run, and return its path. Raises OSError, HostError."""
    path = place(layout, run_id)
    make_dirs(path.parent)
    for name in sorted(os.listdir(path.parent))[:-KEPT]:  # noqa: PTH208 - names only; they begin with the time
        with suppress(OSError):
            remove(path.parent / name)
    return path


def read(layout: Layout, run_id: str) -> tuple[End, ...]:
    """How the processes of a run ended, in their order; () where that is not known."""
    body = sealed_records.try_json(place(layout, run_id)) if run_id else {}
    ends = body.get("ends")
    return tuple(end for entry in (ends if isinstance(ends, list) else []) if (end := _end(entry)))


def of_trainer(layout: Layout, record: ProcessRecord) -> End | None:
    """How the recorded trainer ended; None where it runs, or its end is not known."""
    return next((end for end in reversed(read(layout, record.run_id)) if end.pid == record.pid), None)


def close(layout: Layout, run_id: str, why: Literal["silence", "fence"]) -> None:
    """Record that a run that has not said itself that it is over counts as ended: its files did not change for as long
    as they may, or the operator has fenced it. Raises OSError, HostError."""
    path = _closed(layout, run_id)
    make_dirs(path.parent)
    write_durably(path, json.dumps({"why": why}).encode())


def is_closed(layout: Layout, run_id: str) -> bool:
    """Was that recorded of this run?"""
    return bool(run_id) and bool(sealed_records.try_json(_closed(layout, run_id)).get("why"))


def _closed(layout: Layout, run_id: str) -> Path:
    return layout.state / "exits" / f"{run_id}.closed.json"


def _end(entry: object) -> End | None:
    if not isinstance(entry, Mapping):
        return None
    pid, code, time = entry.get("pid"), entry.get("code"), entry.get("t")
    if type(pid) is not int or type(code) is not int or not isinstance(time, int | float):
        return None
    return End(pid, code, float(time))
