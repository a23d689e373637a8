"""Compares two checkpoints by tensor: which changed and by how much, and which are in only one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from atftctl.trainer.training import checkpoint


def compare(old: Path, new: Path) -> dict[str, Any]:
    """Return the tensors that were added, removed, reshaped or changed, and how many are the same.

    An entry holds name and shape. For a changed tensor it also holds the Euclidean norm of the change, absolute and
    relative to the norm of the old tensor (None if that is 0). Raises CheckpointError and FileNotFoundError.
    """
    left, right = (_tensors(checkpoint.load(path)) for path in (old, new))
    report: dict[str, Any] = {"added": [], "removed": [], "reshaped": [], "changed": [], "same": 0}
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right:
            side, tensors = ("added", right) if name in right else ("removed", left)
            report[side].append({"name": name, "shape": list(tensors[name].shape)})
        elif left[name].shape != right[name].shape:
            report["reshaped"].append(
                {"name": name, "shape": list(right[name].shape), "old_shape": list(left[name].shape)}
            )
        elif torch.equal(left[name], right[name]):
            report["same"] += 1
        else:
            norm = float((right[name].double() - left[name].double()).norm())
            base = float(left[name].double().norm())
            relative = norm / base if base else None
            report["changed"].append(
                {"name": name, "shape": list(left[name].shape), "norm": norm, "relative": relative}
            )
    report["changed"].sort(key=lambda entry: -(entry["relative"] or float("inf")))
    return report


def _tensors(value: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Return every tensor of a checkpoint by its dotted path."""
    if isinstance(value, torch.Tensor):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {key: tensor for name, item in items for key, tensor in _tensors(item, f"{path}.{name}".lstrip(".")).items()}
