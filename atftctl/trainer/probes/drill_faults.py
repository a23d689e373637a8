"""Damage to a checkpoint, made on purpose for `atftctl drill`, and in a drill only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from atftctl import protocol
from atftctl.trainer.errors import SettingsError
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.training import checkpoint


def _momentum(payload: dict[str, Any], times: float) -> None:
    """Multiply the first moments of the optimiser: what gradients that were not unscaled leave behind. The training
    that goes on from there diverges, though nothing in it is wrong."""
    for state in payload["optimizer"]["state"].values():
        state["exp_avg"].mul_(times)


def _noise(payload: dict[str, Any], times: float) -> None:
    """Add noise to each matrix of weights, `times` its own standard deviation: forecasts get worse, and nothing else
    shows it."""
    generator = torch.Generator().manual_seed(1)
    for part in ("model", "ema"):
        for value in (payload[part] or {}).values():
            if value.ndim > 1 and value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator) * value.std() * times)


KINDS: Mapping[str, Callable[[dict[str, Any], float], None]] = {"momentum": _momentum, "noise": _noise}


def damage(root: Path, kind: str, times: float) -> None:
    """Damage the newest checkpoint; it stays whole and can be loaded. Raises SettingsError outside of a drill,
    CheckpointError, OSError."""
    if not os.environ.get(protocol.DRILL):
        raise SettingsError(f"a checkpoint is damaged on purpose in a drill only ({protocol.DRILL} is not set)")
    path = root / protocol.LAST
    payload = checkpoint.load(path)
    payload.pop("format")
    KINDS[kind](payload, times)
    checkpoint.save(path, payload, Generation(root))
