"""Two checkpoints by tensor: which changed, by how much, which are only in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from atftctl.trainer.training import checkpoint


def compare(old: Path, new: Path) -> dict[str, Any]:
    """By tensor: its shape, and the Euclidean norm of the change, absolute and relative to the old tensor's norm."""
    left, right = (_tensors(checkpoint.load(path)) for path in (old, new))
    found: dict[str, Any] = {"added": [], "removed": [], "reshaped": [], "changed": [], "same": 0}
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right:
            side, tensors = ("added", right) if name in right else ("removed", left)
            found[side].append({"name": name, "shape": list(tensors[name].shape)})
        elif left[name].shape != right[name].shape:
            found["reshaped"].append(
                {"name": name, "shape": list(right[name].shape), "old_shape": list(left[name].shape)}
            )
        elif torch.equal(left[name], right[name]):
            found["same"] += 1
        else:
            norm = float((right[name].double() - left[name].double()).norm())
            base = float(left[name].double().norm())
            relative = norm / base if base else None
            found["changed"].append({"name": name, "shape": list(left[name].shape), "norm": norm, "relative": relative})
    found["changed"].sort(key=lambda one: -(one["relative"] or float("inf")))
    return found


def _tensors(value: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a checkpoint by its dotted place."""
    if isinstance(value, torch.Tensor):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {key: one for name, item in items for key, one in _tensors(item, f"{path}.{name}".lstrip(".")).items()}
