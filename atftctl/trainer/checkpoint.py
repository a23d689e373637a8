"""Checkpoints: written beside, renamed into place; read only when whole, and never unpickled.

`torch.load` does not notice a flipped bit; the zip's CRCs do, so both are asked.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT = 1


class CheckpointError(Exception):
    """A checkpoint that is not whole or not ours; the message names the file."""


def save(path: Path, payload: dict[str, Any]) -> str:
    """The file's SHA-256. The old file stays until the new one is whole; OSError leaves it untouched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temp.open("wb") as file:
            torch.save({"format": FORMAT, **payload}, file)
            file.flush()
            os.fsync(file.fileno())
        with temp.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return digest


def load(path: Path) -> dict[str, Any]:
    """Raises CheckpointError; FileNotFoundError where there is none."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole checkpoint: {error}") from None
    if broken:
        raise CheckpointError(f"{path} is damaged: {broken} fails its CRC")
    try:
        payload: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds for a file that is not its own
        raise CheckpointError(f"{path} can't be loaded: {str(error).splitlines()[0]}") from None
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this trainer")
    return payload


def fit_state(state: dict[str, torch.Tensor], model: torch.nn.Module) -> tuple[dict[str, torch.Tensor], list[str]]:
    """A saved state onto a model with other flags: (state, what was converted). See each improvement for its
    conversion.

    The way down to the baseline stands here and not in improvements/, which may be gone by then.
    """
    state, wanted = dict(state), model.state_dict()
    notes = []
    if "head.layer_scale" in wanted and "head.layer_scale" not in state:
        from atftctl.trainer.improvements import small_init

        small_init.add(state)
        notes.append("LayerScale added to the head, predictions unchanged")
    elif "head.layer_scale" in state and "head.layer_scale" not in wanted:
        scale = state.pop("head.layer_scale")
        state["head.outer.weight"] = state["head.outer.weight"] * scale[:, None]
        state["head.outer.bias"] = state["head.outer.bias"] * scale
        notes.append("LayerScale folded into the head, predictions unchanged")
    if "normalise.count" in wanted and "normalise.count" not in state:
        state["normalise.count"] = wanted["normalise.count"]
        notes.append("running statistics start from the training split's")
    elif "normalise.count" in state and "normalise.count" not in wanted:
        del state["normalise.count"]
        state["normalise.mean"], state["normalise.deviation"] = (
            wanted["normalise.mean"],
            wanted["normalise.deviation"],
        )
        notes.append("running statistics replaced by the training split's")
    return state, notes


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 over names and bytes of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
