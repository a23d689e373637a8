"""Event files as the writer of TensorBoard makes them, for tests: with its own code for sums and messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

NAME = "events.out.tfevents.1796074078.vm.27823.0"


def record_of(data: bytes) -> bytes:
    """A record with this data."""
    length = len(data).to_bytes(8, "little")
    sums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, data))
    return length + next(sums) + data + next(sums)


def scalars(step: int, values: Mapping[str, float], wall_time: float = 1796074078.5) -> bytes:
    """A record for each of these values, as `add_scalar` writes them."""
    events = (
        Event(step=step, wall_time=wall_time, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))
        for tag, value in values.items()
    )
    return b"".join(record_of(event.SerializeToString()) for event in events)


def begin() -> bytes:
    """The first record of a file."""
    return record_of(Event(wall_time=1796074078.0, file_version="brain.Event:2").SerializeToString())


def append(path: Path, data: bytes) -> None:
    """Add bytes to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)
