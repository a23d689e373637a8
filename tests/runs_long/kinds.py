"""The settings that the healthy runs are trained with: what people change from one training to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]  # by dotted key

# A small market, and steps as quick as they can be: a step of this size costs what PyTorch's calls cost, not its sums.
COMMON: Settings = {
    "model.hidden_size": 16,
    "data.synthetic.stocks": 40,
    "data.synthetic.days": 500,
    "data.graph.neighbours": 10,
    "training.evaluate_every": 200,
    "training.evaluate_dates": 20,
    "training.checkpoint_every": 200,
    "training.threads": 1,
}
IMPROVED: Settings = {
    "improvements.output_head_small_init": True,
    "improvements.gat_temperature": 0.8,
    "improvements.freq_dropout_p": 0.1,
    "improvements.use_ema": True,
    "ema.enabled": True,
    "improvements.huber_loss": True,
    "loss.type": "huber",
    "improvements.online_normalization": True,
    "data.memory_map": True,
}

# By name. Those without `training.max_steps` are stopped after the steps that are wanted, in the middle of a schedule.
KINDS: Mapping[str, Settings] = {
    "baseline": {},
    "improved": IMPROVED,
    "short": {"training.max_steps": 1000},
    "improved-short": {**IMPROVED, "training.max_steps": 1200},
    "small-init": {"improvements.output_head_small_init": True},
    "huber": {"improvements.huber_loss": True, "loss.type": "huber"},
    "ema": {"improvements.use_ema": True, "ema.enabled": True, "training.evaluate_every": 100},
    "online-norm": {"improvements.online_normalization": True},
    "freq-dropout": {"improvements.freq_dropout_p": 0.3},
    "cold-attention": {"improvements.gat_temperature": 0.5},
    "long-warmup": {"scheduler.warmup_steps": 400},
    "no-warmup": {"scheduler.warmup_steps": 0},
    "quick": {"optimizer.lr": 2.0e-3},
    "slow": {"optimizer.lr": 3.0e-4},
    "pairs": {"training.dates_per_step": 2},
    "few-stocks": {"data.synthetic.stocks": 20, "data.graph.neighbours": 5},
    "many-stocks": {"data.synthetic.stocks": 80, "data.graph.neighbours": 20, "model.hidden_size": 32},
    "no-ranking": {"loss.rank_weight": 0.0},
    "ranking": {"loss.rank_weight": 2.0},
    "mapped": {"data.memory_map": True, "data.sequence_length": 10, "model.dropout": 0.3},
}


def settings_of(number: int) -> tuple[str, dict[str, Any]]:
    """(name, all settings by dotted key) of run number so-and-so, counted from 0: each kind once, then with the next
    seed of weights and order. Each two seeds share a market: such runs can be compared with each other."""
    kinds = list(KINDS)
    kind, seed = kinds[number % len(kinds)], number // len(kinds) + 1
    own = {"training.seed": seed, "data.synthetic.seed": 101 + (seed - 1) // 2}
    return f"{number:03d}-{kind}-{seed}", {**COMMON, **KINDS[kind], **own}


def nested(settings: Settings) -> dict[str, Any]:
    """The same as sections, as in a config."""
    sections: dict[str, Any] = {}
    for key, value in settings.items():
        *path, name = key.split(".")
        section = sections
        for part in path:
            section = section.setdefault(part, {})
        section[name] = value
    return sections
