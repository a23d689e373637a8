"""Damage to a checkpoint of the real trainer: what a disk, a copy or a bad run does to it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIANCE = 1e-6  # the second moment of the planted weight
LATE = 20  # steps after which the weights of `diverge_later` are far off


def flip_bits(path: Path, chance: random.Random) -> None:
    """Flip some bits in a row, as a bad sector does."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data) // 10, len(data) - 2000)
    for place in range(at, at + 600):  # a single byte may be one of those between two tensors
        data[place] ^= chance.randrange(1, 256)
    _put(path, bytes(data))


def cut_end(path: Path, chance: random.Random) -> None:
    """Lose the end of the file, as a full disk or a crash does."""
    data = path.read_bytes()
    _put(path, data[: chance.randrange(0, len(data) - 1)])


def nan_weights(path: Path, chance: random.Random) -> None:
    """Save NaN in one weight: the file itself is whole."""

    def change(saved: dict[str, Any]) -> None:
        tensor = saved["model"][chance.choice(saved["names"])]
        tensor.view(-1)[chance.randrange(tensor.numel())] = float("nan")

    _resave(path, change)


def diverge_later(path: Path, chance: random.Random) -> None:
    """Save weights with which training goes well for 20 steps and then explodes: the momentum drives one unit of the
    head, which is off and has huge weights, until it is on."""
    depth = chance.uniform(70, 140)  # how far below zero the unit begins

    def change(saved: dict[str, Any]) -> None:
        model = saved["model"]
        names = sorted(saved["names"], key=lambda name: model[name].ndim <= 1)  # the optimiser has matrices first
        unit = chance.randrange(model["head.inner.bias"].numel())
        model["head.inner.weight"][unit] = 0.0
        model["head.inner.bias"][unit] = -depth
        model["head.outer.weight"][:, unit] = 1e5
        bias = saved["optimizer"]["state"][names.index("head.inner.bias")]
        rate = saved["optimizer"]["param_groups"][0]["lr"]
        drift = sum(_adam(float(bias["step"]) + step, step) for step in range(1, LATE + 1))
        bias["exp_avg_sq"][unit] = VARIANCE
        bias["exp_avg"][unit] = -depth / (rate * drift)
        for name in ("head.inner.weight", "head.outer.weight"):
            moments = saved["optimizer"]["state"][names.index(name)]
            row = (unit, slice(None)) if "inner" in name else (slice(None), unit)
            moments["exp_avg"][row] = 0.0

    _resave(path, change)


def _adam(taken: float, step: int) -> float:
    """How far Adam moves a weight without gradients in this step, for a first moment and a learning rate of 1."""
    first = 0.9**step / (1 - 0.9**taken)
    second = VARIANCE * 0.999**step / (1 - 0.999**taken)
    return float(first / second**0.5)


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "bit flips": flip_bits,
    "a cut end": cut_end,
    "NaN weights": nan_weights,
    "diverges later": diverge_later,
}


def _resave(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    import torch

    from atftctl.trainer.training import checkpoint

    saved = checkpoint.load(path)
    change(saved)
    payload = {key: value for key, value in saved.items() if key != "format"}
    temp = path.with_name("damaged.tmp")
    torch.save({"format": checkpoint.FORMAT, **payload, checkpoint.HASH: checkpoint.content_hash(payload)}, temp)
    _put(path, temp.read_bytes())
    temp.unlink()


def _put(path: Path, data: bytes) -> None:
    """Write a new file under this name, with the times of the old one; other names of the old one keep their content."""
    times = path.stat()
    path.unlink()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
