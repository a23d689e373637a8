"""The record of the trainer that was started last, `.atftctl/process.json`, and the living processes that it names."""

from __future__ import annotations

import dataclasses
import json

from atftctl.domain.process_record import ProcessRecord
from atftctl.host import footprint
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.protocol import RUN_ID
from atftctl.protocol.messages import tr
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def read(layout: Layout) -> ProcessRecord | None:
    """The record; None where there is none that can be read."""
    try:
        return ProcessRecord.from_json(sealed_records.try_json(layout.process))
    except (ValueError, KeyError, TypeError):
        return None


def write_record(layout: Layout, record: ProcessRecord) -> None:
    """Write the record durably. Raises OSError."""
    write_durably(layout.process, json.dumps(record.to_json(), indent=1).encode())


def restore_record(layout: Layout, before: bytes | None) -> None:
    """Write an earlier content of the file back; None: there was no file."""
    if before is None:
        remove(layout.process)
    else:
        write_durably(layout.process, before)


def mark_stopped(layout: Layout, record: ProcessRecord) -> None:
    """Record that the trainer is stopped on purpose, so that no rollback starts it again. Call this before the first
    signal."""
    with footprint.of_file(layout.process, tr("recorded that the trainer is to stay stopped")):
        write_record(layout, dataclasses.replace(record, wanted="stopped"))


def identity(layout: Layout, record: ProcessRecord) -> procs.Identity | None:
    """The living main process of a record; None where there is none.

    A process is found by the marker in its environment where its pid was never recorded (a crash came between the
    start and the record), or where a launcher has put the trainer into the background and ended.
    """
    main, uid = _recorded(record), rights.uid_of(layout.root)
    if record.pid and procs.alive(main) and uid in (None, procs.uid_of(main)):
        return main
    if record.pid and not record.detached:
        return None
    return procs.find_marked(marker(record), uid)


def members(layout: Layout, record: ProcessRecord) -> set[procs.Identity]:
    """Every living process of this run, also where its main process is gone."""
    main = identity(layout, record) or _recorded(record)
    return procs.members(main, marker(record), rights.uid_of(layout.root))


def may_signal(layout: Layout, record: ProcessRecord | None, process: procs.Identity) -> bool:
    """Is this process the trainer of this project? It must be the recorded process or carry the run's marker; where
    root works in a user's project, it must run as that user."""
    if record is None or procs.is_above_us(process) or rights.uid_of(layout.root) not in (None, procs.uid_of(process)):
        return False
    return process == _recorded(record) or procs.carries(process, marker(record))


def marker(record: ProcessRecord) -> str:
    """The entry `NAME=VALUE` in the environment of each process of this run."""
    return f"{RUN_ID}={record.run_id}"


def _recorded(record: ProcessRecord) -> procs.Identity:
    return procs.Identity(record.pid, record.ticks, record.boot)
