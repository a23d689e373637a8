"""Checkpoints: written beside, renamed into place; read only when whole, and never unpickled.

`torch.load` does not notice a flipped bit. The zip's CRCs do, and a hash over what was saved is kept inside, which
finds what was damaged before it was zipped, or put together from two files.
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
from atftctl.trainer.runtime.memory import is_out_of_memory

FORMAT = 2
HASH = "sha256"


def save(path: Path, payload: dict[str, Any], *, previous: Path | None = None) -> str:
    """The file's SHA-256. The old file stays until the new one is whole, and then as `previous`; OSError leaves it
    untouched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temp.open("wb") as file:
            torch.save({"format": FORMAT, **payload, HASH: content_hash(payload)}, file)
            file.flush()
            os.fsync(file.fileno())
        with temp.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if previous is not None:
            _keep(path, previous)
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


def _keep(path: Path, previous: Path) -> None:
    """A second name for the checkpoint that is about to be replaced. A file system without hard links keeps none."""
    temp = previous.with_name(f".{previous.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        temp.unlink(missing_ok=True)
        temp.hardlink_to(path)
        temp.replace(previous)


def content_hash(value: Any) -> str:
    """SHA-256 over everything in it: mappings by key, lists in order, tensors by type, shape and bytes."""
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
        for one in value:
            _feed(one, digest)
    else:
        digest.update(repr(value).encode())


def load(path: Path) -> dict[str, Any]:
    """Raises DamagedError for bytes that are not what was saved, CheckpointError for another program's file or one that
    can't be read now, FileNotFoundError where there is none. MemoryError and torch's own kinds of it pass through."""
    if not path.exists():
        raise FileNotFoundError(path)
    _check_archive(path)
    try:
        payload: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read now: {error.strerror or error}") from None
    except Exception as error:  # torch raises many kinds for a file that is not its own
        if is_out_of_memory(error):
            raise
        raise DamagedError(f"{path} can't be loaded: {str(error).splitlines()[0]}") from None
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this trainer")
    said = payload.pop(HASH, None)
    if said != content_hash({key: value for key, value in payload.items() if key != "format"}):
        raise DamagedError(f"{path} is damaged: its content does not have the hash that it was saved with")
    return payload


def _check_archive(path: Path) -> None:
    """Raises DamagedError and CheckpointError, as `load` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except OSError as error:
        raise CheckpointError(f"{path} can't be read now: {error.strerror or error}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DamagedError(f"{path} is not a whole checkpoint: {error}") from None
    if broken:
        raise DamagedError(f"{path} is damaged: {broken} fails its CRC")


BY_HORIZON = ("head.outer.weight", "head.outer.bias", "head.layer_scale", "peers.linear.weight")  # their first axis


def by_name(
    saved: Mapping[str, Any], features: Sequence[str], horizons: Sequence[int]
) -> tuple[dict[str, Any], list[str]]:
    """The checkpoint with its outputs in the order of these horizons, the averaged weights' too: (checkpoint, what was
    converted). A tensor's shape does not say what its rows mean. Raises CheckpointError for other features, and for a
    horizon that was not trained."""
    had = saved.get("features")
    if had is not None and list(had) != list(features):
        gone, new = [one for one in had if one not in features], [one for one in features if one not in had]
        words = [f"without {', '.join(new)}"] * bool(new) + [f"with {', '.join(gone)}"] * bool(gone)
        raise CheckpointError(f"the checkpoint was trained on other features: {'; '.join(words) or 'in another order'}")
    trained = list(saved.get("horizons", horizons))
    if trained == list(horizons):
        return dict(saved), []
    unknown = [str(one) for one in horizons if one not in trained]
    if unknown:
        raise CheckpointError(
            f"the checkpoint forecasts {', '.join(map(str, trained))} days ahead, and not {', '.join(unknown)}"
        )
    rows = [trained.index(one) for one in horizons]
    states = {part: _with_rows(saved[part], rows) for part in ("model", "ema") if saved[part] is not None}
    return {**saved, **states}, ["outputs mapped by horizon"]


def _with_rows(state: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    """A model's state, or that of its average, whose names begin with `module.`."""
    return {name: value[rows] if name.removeprefix("module.") in BY_HORIZON else value for name, value in state.items()}


def fit_state(state: dict[str, torch.Tensor], model: torch.nn.Module) -> tuple[dict[str, torch.Tensor], list[str]]:
    """A saved state onto a model with other flags: (state, what was converted). See each improvement for its
    conversion.

    The way down to the baseline stands here and not in improvements/, which may be gone by then.
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
    """SHA-256 over names and bytes of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
