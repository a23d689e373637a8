"""Checkpoints: written to a file of this generation and renamed into place; read only when whole, and never unpickled.

`torch.load` does not notice a flipped bit. The CRCs of the zip file do. A hash over the saved content is kept inside
the file too: it detects damage that happened before the zip was written, and a file assembled from two others.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from atftctl.trainer.errors import CheckpointError, DamagedError
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.runtime.memory import is_out_of_memory

FORMAT = 2
HASH = "sha256"


def save(path: Path, payload: dict[str, Any], generation: Generation, *, previous: Path | None = None) -> str:
    """Save the payload and return the SHA-256 of the file.

    The old file stays in place until the new one is whole, and is kept as `previous` if that is given. Raises
    FencedError where a newer trainer was started; OSError, or RuntimeError from torch, for example on a full disk. The
    old file is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _save(path, payload, generation, previous)
    except OSError as error:
        if not generation.stage_beside(error):
            raise
    return _save(path, payload, generation, previous)


def _save(path: Path, payload: dict[str, Any], generation: Generation, previous: Path | None) -> str:
    staged = generation.stage(path)
    try:
        digest = _write(staged, payload)
        if previous is not None:
            _keep(path, previous, generation)
        generation.publish(staged, path)
    except FileNotFoundError:
        generation.refuse_fenced(staged.parent)
        raise
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return digest


def _write(staged: Path, payload: dict[str, Any]) -> str:
    """Write the file durably and return its SHA-256."""
    with staged.open("wb") as file:
        torch.save({"format": FORMAT, **payload, HASH: content_hash(payload)}, file)
        file.flush()
        os.fsync(file.fileno())
    with staged.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep(path: Path, previous: Path, generation: Generation) -> None:
    """Hard-link the checkpoint that is about to be replaced to `previous`. Without hard links none is kept. Raises
    FencedError."""
    with suppress(OSError):
        staged = generation.stage(previous)
        staged.hardlink_to(path)
        generation.publish(staged, previous)


def content_hash(value: Any) -> str:
    """Return the SHA-256 over all content: mappings by key, lists in order, tensors by type, shape and bytes."""
    digest = hashlib.sha256()
    _feed(value, digest)
    return digest.hexdigest()


def _feed(value: Any, digest: hashlib._Hash) -> None:
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            digest.update(repr(key).encode())
            _feed(value[key], digest)
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for item in value:
            _feed(item, digest)
    else:
        digest.update(repr(value).encode())


def load(path: Path) -> dict[str, Any]:
    """Load a checkpoint and check that it is whole.

    Raises FileNotFoundError if there is none, DamagedError if its bytes are not those that were saved, and
    CheckpointError if it is another program's file or cannot be read now. MemoryError, and the errors with which torch
    says the same, pass through.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    _check_archive(path)
    try:
        payload: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read now: {error.strerror or error}") from None
    except Exception as error:  # torch raises many kinds of errors for a broken file
        if is_out_of_memory(error):
            raise
        raise DamagedError(f"{path} can't be loaded: {str(error).splitlines()[0]}") from None
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this trainer")
    expected = payload.pop(HASH, None)
    if expected != content_hash({key: value for key, value in payload.items() if key != "format"}):
        raise DamagedError(f"{path} is damaged: its content does not have the hash with which it was saved")
    return payload


def _check_archive(path: Path) -> None:
    """Check the CRCs of the zip file. Raises DamagedError and CheckpointError, as `load` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except OSError as error:
        raise CheckpointError(f"{path} can't be read now: {error.strerror or error}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DamagedError(f"{path} is not a whole checkpoint: {error}") from None
    if broken:
        raise DamagedError(f"{path} is damaged: {broken} fails its CRC")


BY_HORIZON = (
    "head.outer.weight",
    "head.outer.bias",
    "head.layer_scale",
    "peers.linear.weight",
)  # the first axis of each is the horizon


def by_name(
    saved: Mapping[str, Any], features: Sequence[str], horizons: Sequence[int]
) -> tuple[dict[str, Any], list[str]]:
    """Return (the checkpoint with its outputs in the order of these horizons, notes on what was converted).

    The averaged weights are converted too. The order is taken from the saved names, since a tensor's shape does not say
    what its rows mean. Raises CheckpointError for other features, and for a horizon that was not trained.
    """
    trained_on = saved.get("features")
    if trained_on is not None and list(trained_on) != list(features):
        raise CheckpointError(
            f"the checkpoint was trained on other features: {_difference(list(trained_on), list(features))}"
        )
    trained = list(saved.get("horizons", horizons))
    if trained == list(horizons):
        return dict(saved), []
    unknown = [str(horizon) for horizon in horizons if horizon not in trained]
    if unknown:
        raise CheckpointError(
            f"the checkpoint forecasts {', '.join(map(str, trained))} days ahead, and not {', '.join(unknown)}"
        )
    rows = [trained.index(horizon) for horizon in horizons]
    states = {part: _with_rows(saved[part], rows) for part in ("model", "ema") if saved[part] is not None}
    return {**saved, **states}, ["outputs mapped by horizon"]


def _difference(old: list[str], new: list[str]) -> str:
    missing, extra = [name for name in new if name not in old], [name for name in old if name not in new]
    parts = [f"without {', '.join(missing)}"] * bool(missing) + [f"with {', '.join(extra)}"] * bool(extra)
    return "; ".join(parts) or "in another order"


def _with_rows(state: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    """Select these rows of each output, in a model's state or in that of its average (names begin with `module.`)."""
    return {name: value[rows] if name.removeprefix("module.") in BY_HORIZON else value for name, value in state.items()}


def fit_state(state: dict[str, torch.Tensor], model: torch.nn.Module) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Convert a saved state for a model with other flags; return (state, notes on what was converted).

    Each improvement describes its conversion. The conversions back to the baseline are here and not in improvements/,
    because a rollback may delete that folder.
    """
    state, wanted = dict(state), model.state_dict()
    notes = []
    if "head.layer_scale" in wanted and "head.layer_scale" not in state:
        from atftctl.trainer.improvements import small_init

        small_init.add_layer_scale(state)
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
    """Return the SHA-256 over the names and bytes of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
