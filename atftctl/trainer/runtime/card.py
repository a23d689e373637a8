"""The memory of the graphics card that this process trains on. On the CPU nothing of it is known."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import torch

MB = 1 << 20
ANSWER_S = 5.0  # that nvidia-smi may take


def report() -> dict[str, Any]:
    """Return `card`: the card's memory in MB, and the other processes that hold some of it; empty without a card.

    For the event of an out-of-memory error: on a shared card, the cause may be another process.
    """
    if not torch.cuda.is_initialized():
        return {}
    try:
        free, total = torch.cuda.mem_get_info()
        allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
    except RuntimeError:  # an error of the card itself
        return {}
    sizes = {"free_mb": free, "total_mb": total, "allocated_mb": allocated, "reserved_mb": reserved}
    return {"card": {**{name: size // MB for name, size in sizes.items()}, "holders": _holders(uuid)}}


def _holders(uuid: str) -> list[dict[str, int]]:
    """The other processes that hold memory of this card, by nvidia-smi; none where it can't be asked."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    argv = [tool, "--query-compute-apps=gpu_uuid,pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return list(parse_holders(done.stdout, uuid, os.getpid()))


def parse_holders(text: str, uuid: str, own_pid: int) -> Iterator[dict[str, int]]:
    """Read nvidia-smi's lines `uuid, pid, MiB`: those of this card, without our own process."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 3 and cells[0] == uuid and cells[1].isdigit() and int(cells[1]) != own_pid:
            yield {"pid": int(cells[1]), "mb": int(cells[2]) if cells[2].isdigit() else 0}


def limit_memory(share: float) -> None:
    """Let this process take at most this share of the card's memory that is free now: what takes more is out of memory.
    Nothing without a card."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction(share * free / total)


def reset_peak(device: torch.device) -> None:
    """Begin to measure the peak of the card's memory anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> dict[str, Any]:
    """Return `device`, and on a card `card_mb`: the peak of the memory that tensors took, in MB."""
    if device.type != "cuda":
        return {"device": device.type}
    return {"device": device.type, "card_mb": torch.cuda.max_memory_allocated(device) / MB}


def peak_reserved(device: torch.device) -> dict[str, Any]:
    """Return `device`, and on a card `card_mb`: the peak of the memory that the allocator has reserved, which is what
    must fit; and `card_total_mb`: the memory of the card. In MB."""
    if device.type != "cuda":
        return {"device": device.type}
    total = torch.cuda.get_device_properties(device).total_memory
    return {
        "device": device.type,
        "card_mb": torch.cuda.max_memory_reserved(device) / MB,
        "card_total_mb": total / MB,
    }
