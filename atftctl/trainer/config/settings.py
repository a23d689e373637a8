"""The trainer's settings: typed, each in its range; an unknown key is refused with the nearest known one."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from atftctl.protocol import config_digest, merge_settings
from atftctl.protocol.configs import load_settings
from atftctl.trainer.config.binder import bind, number
from atftctl.trainer.config.windows import read_windows
from atftctl.trainer.errors import SettingsError


@dataclass(frozen=True)
class Model:
    """Size of the model; `dropout` is a probability."""

    hidden_size: int = number(32, 4, 1024)
    gat_layers: int = number(2, 1, 4)
    gat_heads: int = number(4, 1, 16)
    dropout: float = number(0.1, 0.0, 0.9)


@dataclass(frozen=True)
class Graph:
    """The graph of a day: `window` in days, `neighbours` for each stock."""

    window: int = number(60, 5, 500)
    neighbours: int = number(20, 1, 200)


@dataclass(frozen=True)
class Synthetic:
    """The synthetic market: `rankic` is the correlation of the planted signal with the next return."""

    seed: int = number(7, 0, 2**31)
    stocks: int = number(120, 2, 20_000)
    days: int = number(900, 50, 20_000)
    rankic: float = number(0.10, 0.0, 0.9)


@dataclass(frozen=True)
class Data:
    """The panel, its splits (dates as 2017-12-31; the last day of each) and the horizons in days."""

    path: str | None = None  # a parquet or csv file, or a folder of files of one kind; None for the synthetic market
    extra_features: tuple[str, ...] = ()  # further numeric columns of the panel
    sequence_length: int = number(20, 5, 250)
    horizons: tuple[int, ...] = (1, 5, 10, 20)
    train_end: str | None = None
    validation_end: str | None = None
    skip: str | None = None  # windows of dates that are not trained on: see config/windows.py
    memory_map: bool = False
    graph: Graph = field(default_factory=Graph)
    synthetic: Synthetic = field(default_factory=Synthetic)


@dataclass(frozen=True)
class Improvements:
    """The flags that a rollback switches off."""

    output_head_small_init: bool = False
    gat_temperature: float = number(1.0, 0.05, 20.0)
    freq_dropout_p: float = number(0.0, 0.0, 1.0)
    use_ema: bool = False
    huber_loss: bool = False
    online_normalization: bool = False
    enable_wandb: bool = False
    auto_recover_oom: bool = False


@dataclass(frozen=True)
class Training:
    """The loop; `…_every` is in steps."""

    seed: int = number(1, 0, 2**31)
    max_steps: int = number(100_000, 1, 10**9)
    dates_per_step: int = number(1, 1, 4096)  # the global batch, shared by all processes
    threads: int = number(2, 1, 256)
    evaluate_every: int = number(200, 1, 10**9)
    evaluate_dates: int = number(60, 1, 100_000)
    checkpoint_every: int = number(50, 1, 10**9)
    log_every: int = number(50, 1, 10**9)  # steps between two lines of the log
    tensorboard: bool = False
    encoder_chunks: int = number(1, 1, 4096)  # pieces of the temporal encoder; more is slower and smaller


@dataclass(frozen=True)
class Loss:
    """The loss function: see training/loss.py. `huber_delta` is in standard deviations of the target."""

    type: Literal["mse", "huber"] = "mse"
    huber_delta: float = number(1.0, 1e-4, 1e4)
    rank_weight: float = number(0.5, 0.0, 100.0)


@dataclass(frozen=True)
class Optimizer:
    """AdamW and the clipping of the gradient norm."""

    lr: float = number(1e-3, 1e-8, 1.0)
    weight_decay: float = number(1e-2, 0.0, 1.0)
    clip_grad_norm: float = number(5.0, 1e-3, 1e6)


@dataclass(frozen=True)
class Scheduler:
    """The learning rate: see training/optimizer.py."""

    warmup_steps: int = number(100, 0, 10**7)


@dataclass(frozen=True)
class Ema:
    """The averaged weights: see improvements/ema.py."""

    enabled: bool = False
    decay: float = number(0.999, 0.0, 1.0)


@dataclass(frozen=True)
class Checkpoint:
    """The history of checkpoints: see training/history.py. `keep`: how many there are at most; 0 for none."""

    keep: int = number(6, 0, 1000)


@dataclass(frozen=True)
class GradScaler:
    """The gradient scaler of fp16, which is used on CUDA only."""

    init_scale: float = number(1024.0, 1.0, 2.0**24)


@dataclass(frozen=True)
class Settings:
    """All settings of a run; the sections have the names of the config."""

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    improvements: Improvements = field(default_factory=Improvements)
    training: Training = field(default_factory=Training)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    scheduler: Scheduler = field(default_factory=Scheduler)
    ema: Ema = field(default_factory=Ema)
    grad_scaler: GradScaler = field(default_factory=GradScaler)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)

    @property
    def ema_on(self) -> bool:
        """True only if both `improvements.use_ema` and `ema.enabled` are on."""
        return self.improvements.use_ema and self.ema.enabled

    @property
    def huber_on(self) -> bool:
        """True only if `improvements.huber_loss` is on and `loss.type` is huber; otherwise the loss is MSE."""
        return self.improvements.huber_loss and self.loss.type == "huber"

    def effective(self) -> dict[str, Any]:
        """Return the value in effect of each dotted key, double switches resolved. The first event holds it."""
        flat = _flatten(dataclasses.asdict(self))
        flat["improvements.use_ema"] = flat["ema.enabled"] = self.ema_on
        flat["improvements.huber_loss"] = self.huber_on
        flat["loss.type"] = "huber" if self.huber_on else "mse"
        return flat


def load(paths: list[Path]) -> tuple[Settings, str]:
    """Read config files, where later files override earlier ones; return (settings, config digest).

    Raises SettingsError.
    """
    layers = []
    for path in paths:
        try:
            value = load_settings(path.read_text(encoding="utf-8-sig"))
        except (OSError, yaml.YAMLError, ValueError) as error:
            raise SettingsError(f"{path}: {' '.join(str(error).split())}") from None
        if not isinstance(value or {}, dict):
            raise SettingsError(f"{path}: a mapping was expected")
        layers.append(value or {})
    merged = merge_settings(layers)
    return from_mapping(merged), config_digest(merged)


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Return the settings that this mapping holds.

    Raises SettingsError for a key that is unknown, a value of the wrong type or out of its range, and for values that
    contradict each other.
    """
    settings: Settings = bind(Settings, values, "")
    data = settings.data
    if not data.horizons or min(data.horizons) < 1 or len(set(data.horizons)) < len(data.horizons):
        raise SettingsError("data.horizons: at least one is needed, each must be 1 or more, and none twice")
    if len(set(data.extra_features)) < len(data.extra_features):
        raise SettingsError("data.extra_features: a column is named twice")
    for name in ("train_end", "validation_end"):
        _check_date(f"data.{name}", getattr(data, name))
    if data.train_end and data.validation_end and data.train_end >= data.validation_end:
        raise SettingsError(f"data.validation_end: {data.validation_end} is not after data.train_end, {data.train_end}")
    read_windows("data.skip", data.skip)
    return settings


def check_even_shards(settings: Settings, processes: int) -> None:
    """Check that the dates of a step can be divided evenly among the processes. Raises SettingsError."""
    dates = settings.training.dates_per_step
    if dates % processes:
        raise SettingsError(
            f"training.dates_per_step: {dates} dates cannot be divided among {processes} processes; "
            f"a multiple of {processes} can"
        )


def _check_date(key: str, value: str | None) -> None:
    try:
        if value is not None:
            datetime.date.fromisoformat(value)
    except ValueError:
        raise SettingsError(f"{key}: {value!r} is no date; write it as 2017-12-31") from None


def _flatten(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = value
    return flat


ReadConfig = Callable[[], tuple[Settings, str]]  # reads the config again: settings and digest; raises SettingsError
