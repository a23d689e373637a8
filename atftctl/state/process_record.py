"""The record of the trainer that was started last, `.atftctl/process.json`."""

from __future__ import annotations

import dataclasses
import json

from atftctl.domain.process_record import ProcessRecord
from atftctl.host import footprint
from atftctl.host.files.durable import remove, write_durably
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


def marker(record: ProcessRecord) -> str:
    """The entry `NAME=VALUE` in the environment of each process of this run."""
    return f"{RUN_ID}={record.run_id}"
