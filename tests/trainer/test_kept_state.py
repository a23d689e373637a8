"""What outlives a run: checkpoints and what they mean, metrics, the cache; and where a run from scratch starts."""

from __future__ import annotations

import errno
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from atftctl import protocol
from atftctl.trainer.config.settings import Data
from atftctl.trainer.data.cache import retain
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.errors import CheckpointError, DamagedError
from atftctl.trainer.telemetry.recorder import Recorder
from atftctl.trainer.training import checkpoint, train_state
from tests.trainer.conftest import Make, take
from tests.trainer.market import rows

# -- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(make: Make) -> Any:
    trainer = make()
    take(trainer, 2)
    assert trainer.save(protocol.LAST)
    take(trainer, 1)
    assert trainer.save(protocol.LAST)
    return trainer


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "no memory"), OSError(errno.EMFILE, "files")])
def test_a_good_checkpoint_stays_where_it_is_when_it_cannot_be_read_now(
    trained: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    before = (trained.root / protocol.LAST).read_bytes()
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises((MemoryError, CheckpointError)) as caught:
        trained.resume("last")
    assert not isinstance(caught.value, DamagedError)
    assert (trained.root / protocol.LAST).read_bytes() == before
    assert not (trained.root / protocol.DAMAGED).exists()


def test_the_words_of_torch_for_no_memory_are_not_damage(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(RuntimeError, match="can't allocate"):
        trained.resume("last")
    assert (trained.root / protocol.LAST).exists() and not (trained.root / protocol.DAMAGED).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"synthetic": {"seed": 9}}},
        {"data": {"horizons": [1, 5]}},
        {"data": {"validation_end": "2015-11-30"}},
    ],
)
def test_the_best_of_other_data_horizons_or_dates_is_not_kept(make: Make, changes: dict[str, Any]) -> None:
    first = make(data={"horizons": [1, 5, 10]})
    take(first, 1)
    first.progress.best = 0.9
    assert first.save(protocol.LAST)
    saved = checkpoint.load(first.root / protocol.LAST)
    same = make(data={"horizons": [1, 5, 10]})
    assert train_state.load_state(saved, same.parts, same.recorder).best == 0.9
    data = {"horizons": [1, 5, 10], **changes["data"]}
    other = make(data=data)
    found = train_state.load_state(checkpoint.load(first.root / protocol.LAST), other.parts, other.recorder)
    assert found.best == float("-inf") and found.step == 1


def test_outputs_are_mapped_by_the_names_of_the_horizons(make: Make) -> None:
    first = make(data={"horizons": [1, 5, 10]})
    take(first, 3)
    assert first.save(protocol.LAST)
    saved = checkpoint.load(first.root / protocol.LAST)
    day = first.dataset.day(first.evaluation_days(1)[0])
    first.parts.model.eval()
    expected = first.parts.model(day)
    for horizons in ([5, 1, 10], [10], [10, 5]):
        other = make(data={"horizons": horizons})
        train_state.load_state(saved, other.parts, other.recorder)
        other.parts.model.eval()
        at = [[1, 5, 10].index(one) for one in horizons]
        assert torch.allclose(other.parts.model(day), expected[:, at], atol=1e-6)
    unknown = make(data={"horizons": [1, 5, 20]})
    with pytest.raises(CheckpointError, match="forecasts 1, 5, 10 days ahead, and not 20"):
        train_state.load_state(saved, unknown.parts, unknown.recorder)


def test_averaged_weights_are_mapped_with_the_others(make: Make) -> None:
    ema = {"improvements": {"use_ema": True}, "ema": {"enabled": True, "decay": 0.5}}
    first = make(data={"horizons": [1, 5]}, **ema)
    take(first, 3)
    assert first.save(protocol.LAST)
    other = make(data={"horizons": [5]}, **ema)
    train_state.load_state(checkpoint.load(first.root / protocol.LAST), other.parts, other.recorder)
    averaged, mapped = (one.parts.ema.model.state_dict()["head.outer.bias"] for one in (first, other))
    assert torch.equal(averaged[[1]], mapped)
    assert not torch.equal(mapped, other.parts.model.state_dict()["head.outer.bias"])


def test_other_features_of_the_same_number_are_refused(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "panel.parquet"
    rows().assign(alpha=1.0, beta=2.0).to_parquet(path)
    made = {
        name: make(data={"path": str(path), "extra_features": [name], "horizons": [1]}) for name in ("alpha", "beta")
    }
    take(made["alpha"], 1)
    assert made["alpha"].save(protocol.LAST)
    saved = checkpoint.load(made["alpha"].root / protocol.LAST)
    with pytest.raises(CheckpointError, match="other features: without beta, beta_rank; with alpha, alpha_rank"):
        train_state.load_state(saved, made["beta"].parts, made["beta"].recorder)


# -- what is written -------------------------------------------------------------------------------------------------


def test_metrics_of_other_horizons_begin_a_file_of_their_own(tmp_path: Path) -> None:
    Recorder(tmp_path, (1, 5)).metrics({"step": 1, "rankic_h5": 0.5})
    Recorder(tmp_path, (1, 5)).metrics({"step": 2, "rankic_h5": 0.5})
    Recorder(tmp_path, (1, 20)).metrics({"step": 3, "rankic_h20": 0.2})
    Recorder(tmp_path, (1,)).metrics({"step": 4})
    path = tmp_path / protocol.METRICS
    tables = [pd.read_csv(one) for one in (path.with_name("metrics.csv.1"), path.with_name("metrics.csv.2"), path)]
    assert [list(table["step"]) for table in tables] == [[1, 2], [3], [4]]
    assert list(tables[1]["rankic_h20"]) == [0.2]


def test_what_was_left_half_saved_is_swept(make: Make) -> None:
    trainer = make()
    models = trainer.root / "models"
    models.mkdir(exist_ok=True)
    old, young, living = (models / f".last.pth.{pid}.tmp" for pid in (999_999_999, 999_999_998, os.getpid()))
    for path in (old, young, living):
        path.write_bytes(b"half")
    for path in (old, living):
        os.utime(path, (time.time() - 7200,) * 2)
    trainer.resume("scratch")
    assert not old.exists() and young.exists() and living.exists()


def test_the_cache_keeps_what_is_used_and_what_is_young(tmp_path: Path) -> None:
    names = [f"features-v4-{number}.npy" for number in range(5)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (time.time() - 86400 * 10 * number,) * 2)
    folder = tmp_path / "panel-v3-x"
    folder.mkdir()
    (folder / "close.npy").write_bytes(bytes(1000))
    os.utime(folder, (time.time() - 86400 * 40,) * 2)
    retain(tmp_path, [tmp_path / names[4]])
    assert {path.name for path in tmp_path.iterdir()} == {*names[:3], names[4]} | (
        {names[3]} & set(os.listdir(tmp_path))
    )
    assert not folder.exists()
    retain(tmp_path, [tmp_path / names[4]], kept_bytes=2500)
    assert {path.name for path in tmp_path.iterdir()} == {names[0], names[4]}


def test_a_dataset_keeps_its_own_cache(tmp_path: Path) -> None:
    rows().to_parquet(tmp_path / "panel.parquet")
    cache = tmp_path / "cache"
    for sequence in (20, 10):
        Dataset(Data(path=str(tmp_path / "panel.parquet"), sequence_length=sequence, horizons=(1,)), cache)
    assert sorted(itertools.chain(path.name.split("-")[0] for path in cache.iterdir())) == [
        "features",
        "panel",
        "targets",
    ]


# -- the linear path -------------------------------------------------------------------------------------------------


def test_a_run_from_scratch_starts_at_the_ridge_solution(make: Make) -> None:
    """Against the solution by scikit-like normal equations on all rows at once, and better than nothing."""
    trainer = make(
        data={"synthetic": {"stocks": 30, "days": 220, "rankic": 0.3}, "graph": {"neighbours": 5, "window": 20}}
    )
    peers, model = trainer.parts.model.peers, trainer.parts.model
    assert not peers.linear.weight.any()
    trainer.resume("scratch")
    rows_x, rows_y = [], []
    with torch.no_grad():
        for number in trainer.dataset.split.train:
            day = trainer.dataset.day(int(number))
            known = torch.isfinite(day.y[:, 0])
            rows_x.append(peers.inputs(model.normalise(day.x[:, -1]), day.neighbours)[known].double())
            rows_y.append(day.y[known, 0].double())
    x, y = torch.cat(rows_x), torch.cat(rows_y)
    expected = torch.linalg.solve(x.T @ x + 0.01 * len(y) * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
    assert torch.allclose(peers.linear.weight[0].double() * 0.1, expected, atol=1e-5)
    assert trainer.evaluate(10**6).mean(1) > 0.1


def test_a_resumed_run_keeps_what_it_learned(make: Make) -> None:
    trainer = make()
    trainer.resume("scratch")
    take(trainer, 2)
    assert trainer.save(protocol.LAST)
    learned = trainer.parts.model.peers.linear.weight.clone()
    other = make(root=trainer.root)
    other.resume("last")
    assert torch.equal(other.parts.model.peers.linear.weight, learned)
