"""Two checkpoints by tensor: what changed, by how much, in what shape; damaged ones are an error, not a result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from atftctl.trainer.probes.tensor_diff import compare
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.training import checkpoint
from tests.support import warm


def save(path: Path, weights: dict[str, torch.Tensor]) -> Path:
    checkpoint.save(path, {"model": weights, "step": 3}, Generation(path.parent))
    return path


def test_changed_added_removed_reshaped(tmp_path: Path) -> None:
    old = save(
        tmp_path / "old.pth",
        {"a": torch.tensor([3.0, 4.0]), "b": torch.ones(2), "c": torch.ones(3), "d": torch.ones(1)},
    )
    new = save(
        tmp_path / "new.pth",
        {"a": torch.tensor([3.0, 4.5]), "b": torch.ones(2), "c": torch.ones(2, 2), "e": torch.ones(1)},
    )
    found = compare(old, new)
    assert found["same"] == 1
    assert [one["name"] for one in found["changed"]] == ["model.a"]
    assert found["changed"][0]["norm"] == pytest.approx(0.5) and found["changed"][0]["relative"] == pytest.approx(0.1)
    assert found["reshaped"] == [{"name": "model.c", "shape": [2, 2], "old_shape": [3]}]
    assert [one["name"] for one in found["removed"] + found["added"]] == ["model.d", "model.e"]


def test_by_the_probe_in_a_process_of_its_own(tmp_path: Path) -> None:
    old = save(tmp_path / "old.pth", {"a": torch.ones(2)})
    data = bytearray(old.read_bytes())
    data[data.index(b"\x00\x00\x80\x3f" * 2)] ^= 1  # of the tensor itself: [1.0, 1.0]
    (tmp_path / "new.pth").write_bytes(data)
    out = tmp_path / "out.json"
    argv = ("-m", "atftctl.trainer", "probe", "tensors", "--out", str(out), "--file", str(old), "--file")
    warm.run((*argv, str(old)), cwd=tmp_path, env=os.environ).check_returncode()
    assert json.loads(out.read_bytes())["changed"] == []
    warm.run((*argv, str(tmp_path / "new.pth")), cwd=tmp_path, env=os.environ).check_returncode()
    assert "error" in json.loads(out.read_bytes())
