"""What the trainer breaks on purpose, in a drill and nowhere else."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from atftctl import protocol
from atftctl.trainer.__main__ import main
from atftctl.trainer.data.leak import Leak
from atftctl.trainer.probes import drill_faults
from atftctl.trainer.probes.bench import Bench
from atftctl.trainer.probes.verify_parts import Parts
from atftctl.trainer.runtime.generation import Generation
from atftctl.trainer.training import checkpoint
from tests.trainer.conftest import settings_of

PAYLOAD = {
    "step": 7,
    "model": {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.ones(3), "count": torch.tensor([[3, 4]])},
    "ema": None,
    "optimizer": {"state": {0: {"exp_avg": torch.ones(3, 4), "exp_avg_sq": torch.ones(3, 4)}}},
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / protocol.LAST, copy.deepcopy(PAYLOAD), Generation(tmp_path))
    return tmp_path


def damage(root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, times: str) -> int:
    monkeypatch.setattr("sys.argv", ["trainer", "damage", kind, "--times", times, "--root", str(root)])
    return main()


def test_nothing_is_damaged_outside_of_a_drill(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(protocol.DRILL, raising=False)
    before = (saved / protocol.LAST).read_bytes()
    assert damage(saved, monkeypatch, "noise", "1") == protocol.TrainerExit.BAD_SETTINGS
    assert (saved / protocol.LAST).read_bytes() == before


def test_momentum_changes_the_first_moments_alone(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(protocol.DRILL, "1")
    assert damage(saved, monkeypatch, "momentum", "1000") == 0
    after = checkpoint.load(saved / protocol.LAST)
    state = after["optimizer"]["state"][0]
    assert float(state["exp_avg"].mean()) == 1000.0 and float(state["exp_avg_sq"].mean()) == 1.0
    assert torch.equal(after["model"]["weight"], PAYLOAD["model"]["weight"]) and after["step"] == 7  # type: ignore[index]


def test_noise_changes_matrices_alone_and_the_file_stays_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(protocol.DRILL, "1")
    assert damage(saved, monkeypatch, "noise", "1.5") == 0
    model, old = checkpoint.load(saved / protocol.LAST)["model"], PAYLOAD["model"]
    assert not torch.equal(model["weight"], old["weight"])  # type: ignore[index]
    assert torch.equal(model["bias"], old["bias"]) and torch.equal(model["count"], old["count"])  # type: ignore[index]


def test_no_checkpoint_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(protocol.DRILL, "1")
    assert damage(tmp_path, monkeypatch, "noise", "1") == protocol.TrainerExit.BAD_CHECKPOINT


@pytest.mark.parametrize(
    ("drill", "megabytes", "mapped", "kept"),
    [("1", "0.5", True, 3), ("", "0.5", True, 0), ("1", "0.5", False, 0), ("1", "much", True, 0), ("1", "-1", True, 0)],
)
def test_memory_leaks_from_the_map_and_in_a_drill_only(
    monkeypatch: pytest.MonkeyPatch, drill: str, megabytes: str, mapped: bool, kept: int
) -> None:
    monkeypatch.setenv(protocol.DRILL, drill)
    monkeypatch.setenv(protocol.DRILL_LEAK_MB, megabytes)
    leak = Leak(mapped=mapped)
    for _ in range(3):
        leak.grow()
    arrays: list[np.ndarray] = leak._kept
    assert len(arrays) == kept
    assert all(array.nbytes == 2**19 for array in arrays)


def test_the_baseline_that_verify_measures_beside_the_service_does_not_leak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the service looks faster than it is, compared with it."""
    monkeypatch.setenv(protocol.DRILL, "1")
    monkeypatch.setenv(protocol.DRILL_LEAK_MB, "0.3")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings_of(data={"memory_map": True})))
    bench = Bench(tmp_path, tmp_path, [config], [config])
    assert bench.make(bench.configs, "steps").dataset._leak.grows
    assert not Parts(bench)._baseline_trainer().dataset._leak.grows


def test_every_kind_of_damage_has_a_name() -> None:
    assert set(drill_faults.KINDS) == {"momentum", "noise"}
