"""A tiny trainer: 30 stocks, 220 days, hidden 8. Everything real, a few milliseconds a step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atftctl.protocol import config_digest

pytest.importorskip("torch")

TINY: dict[str, Any] = {
    "model": {"hidden_size": 8, "gat_heads": 2},
    "data": {"graph": {"neighbours": 5, "window": 20}, "synthetic": {"stocks": 30, "days": 220, "rankic": 0.3}},
    "training": {"threads": 1, "evaluate_every": 1000, "checkpoint_every": 1000, "max_steps": 1000},
    "improvements": {},
}
IMPROVED = {
    "improvements": {
        "output_head_small_init": True,
        "gat_temperature": 0.8,
        "freq_dropout_p": 0.5,
        "use_ema": True,
        "huber_loss": True,
        "online_normalization": True,
        "auto_recover_oom": True,
    },
    "loss": {"type": "huber"},
    "ema": {"enabled": True, "decay": 0.9},
}
Make = Callable[..., Any]


def settings_of(**changes: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(TINY)
    for section, values in changes.items():
        merged.setdefault(section, {}).update(values)
    return merged


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make(tmp_path: Path, cache: Path) -> Make:
    """A trainer with these sections changed, in a run folder of its own (or in `root`)."""
    import torch

    from atftctl.trainer.config import settings
    from atftctl.trainer.telemetry.recorder import Recorder
    from atftctl.trainer.training.trainer import Trainer

    torch.set_num_threads(1)
    made: list[int] = []

    def trainer(root: Path | None = None, **changes: dict[str, Any]) -> Trainer:
        made.append(1)
        folder = root or tmp_path / f"run{len(made)}"
        folder.mkdir(exist_ok=True)
        values = settings_of(**changes)
        loaded = settings.from_mapping(values)
        return Trainer(loaded, config_digest(values), folder, Recorder(folder, loaded.data.horizons), cache=cache)

    return trainer


def make_features(panel: Any) -> Any:
    """All features of a panel, in memory."""
    import numpy as np

    from atftctl.trainer.data.features import fill_features, names

    features = np.empty((*panel.close.shape, len(names(panel))), np.float32)
    fill_features(panel, features)
    return features


def take(trainer: Any, steps: int) -> list[float]:
    """So many steps; their losses."""
    return [trainer.next_step().loss for _ in range(steps)]
