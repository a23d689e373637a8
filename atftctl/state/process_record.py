"""The record of the trainer that was started last: `.atftctl/process.json`; and the living processes that it means."""

from __future__ import annotations

import dataclasses
import json

from atftctl.domain.process_record import ProcessRecord
from atftctl.host import footprint
from atftctl.host.files.durable import remove, write_durably
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.protocol import RUN_ID
from atftctl.state import sealed_records
from atftctl.state.layout import Layout


def read(layout: Layout) -> ProcessRecord | None:
    """None without one, or where it can't be read."""
    try:
        return ProcessRecord.from_json(sealed_records.try_json(layout.process))
    except (ValueError, KeyError, TypeError):
        return None


def marker(record: ProcessRecord) -> str:
    return f"{RUN_ID}={record.run_id}"


def identity(layout: Layout, record: ProcessRecord) -> procs.Identity | None:
    """The living process of a record. One whose process is gone, or was never written down (a crash came between start
    and record), is found by its marker: a launcher may have put the trainer into the background and left."""
    who, uid = procs.Identity(record.pid, record.ticks, record.boot), rights.uid_of(layout.root)
    if record.pid and procs.alive(who) and uid in (None, procs.uid_of(who)):
        return who
    if record.pid and not record.detached:
        return None
    return procs.find_marked(marker(record), uid)


def members(layout: Layout, record: ProcessRecord) -> set[procs.Identity]:
    """Every living process of this run, also where its main process is gone."""
    who = identity(layout, record) or procs.Identity(record.pid, record.ticks, record.boot)
    return procs.members(who, marker(record), rights.uid_of(layout.root))


def may_signal(layout: Layout, record: ProcessRecord | None, who: procs.Identity) -> bool:
    """Is this process the trainer of this project? It carries the run's marker, or it is the recorded one; and where
    root acts in a user's project, it runs as that user."""
    if record is None or procs.is_above_us(who) or rights.uid_of(layout.root) not in (None, procs.uid_of(who)):
        return False
    recorded = (record.pid, record.ticks, record.boot) == (who.pid, who.ticks, who.boot)
    return recorded or procs.carries(who, marker(record))


def restore_record(layout: Layout, before: bytes | None) -> None:
    if before is None:
        remove(layout.process)
    else:
        write_durably(layout.process, before)


def write_record(layout: Layout, record: ProcessRecord) -> None:
    write_durably(layout.process, json.dumps(record.to_json(), indent=1).encode())


def mark_stopped(layout: Layout, record: ProcessRecord) -> None:
    """Stopped on purpose: a rollback will not start it again. Written before the first signal."""
    write_record(layout, dataclasses.replace(record, wanted="stopped"))
    footprint.leave("recorded that the trainer is to stay down")
