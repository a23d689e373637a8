"""Write a row of metrics in the formats that other trainers use; see standin.py. Standard library only."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

RUN = os.environ.get("ATFTCTL_RUN_ID", "run")
STATE_EVERY = 10  # rows; a whole history is written with each checkpoint
MOST_STATES = 3  # that are kept


def lightning(step: int, values: dict[str, float]) -> None:
    """`lightning_logs/version_N/metrics.csv`, a folder for each run; the gradient in rows of its own."""
    path = Path("lightning_logs") / f"version_{RUN}" / "metrics.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not file.tell():
            file.write("epoch,loss_rel,grad_norm,rss_mb,step\n")
        file.write(f"0,{values['loss_rel']},,{values['rss_mb']},{step}\n0,,{values['grad_norm']},,{step}\n")


def jsonl(step: int, values: dict[str, float]) -> None:
    """`out/log.jsonl`: one file for all runs."""
    Path("out").mkdir(exist_ok=True)
    with Path("out/log.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")


def tensorboard(step: int, values: dict[str, float]) -> None:
    """`runs/RUN/events.out.tfevents.*`."""
    path = Path("runs", RUN, "events.out.tfevents.1796074078.vm")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for name, value in values.items():
            scalar = _field(1, name.encode()) + b"\x15" + struct.pack("<f", value)
            event = b"\x09" + struct.pack("<d", 1e9) + b"\x10" + _varint(step) + _field(5, _field(1, scalar))
            length = struct.pack("<Q", len(event))
            file.write(length + _masked(length) + event + _masked(event))


def huggingface(step: int, values: dict[str, float]) -> None:
    """`out/checkpoint-N/trainer_state.json`: the whole history, with each checkpoint."""
    _history.append({"step": step, "epoch": step / 100, **values})
    if step % STATE_EVERY == 0:
        path = Path("out", f"checkpoint-{RUN}-{step}", "trainer_state.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"log_history": _history}))
        _written.append(path)
        if len(_written) > MOST_STATES:
            old = _written.pop(0)
            old.unlink()
            old.parent.rmdir()


def write(name: str, step: int, values: dict[str, float]) -> None:
    """Write a row in the format of this name."""
    {"lightning": lightning, "jsonl": jsonl, "tensorboard": tensorboard, "huggingface": huggingface}[name](step, values)


_history: list[dict[str, float]] = []
_written: list[Path] = []


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def _varint(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def _masked(data: bytes) -> bytes:
    """The sum of a record, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
