"""The trainer's settings: typed, each in its range, unknown ones refused with the nearest name; and what is in
effect."""

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
from atftctl.trainer.errors import SettingsError


@dataclass(frozen=True)
class Model:
    hidden_size: int = number(32, 4, 1024)
    gat_layers: int = number(2, 1, 4)
    gat_heads: int = number(4, 1, 16)
    dropout: float = number(0.1, 0.0, 0.9)


@dataclass(frozen=True)
class Graph:
    window: int = number(60, 5, 500)
    neighbours: int = number(20, 1, 200)


@dataclass(frozen=True)
class Synthetic:
    seed: int = number(7, 0, 2**31)
    stocks: int = number(120, 2, 20_000)
    days: int = number(900, 50, 20_000)
    rankic: float = number(0.10, 0.0, 0.9)


@dataclass(frozen=True)
class Data:
    path: str | None = None  # a parquet or csv file, or a folder of files of one kind; None: the synthetic market
    extra_features: tuple[str, ...] = ()  # further numeric columns of the panel
    sequence_length: int = number(20, 5, 250)
    horizons: tuple[int, ...] = (1, 5, 10, 20)
    train_end: str | None = None
    validation_end: str | None = None
    memory_map: bool = False
    graph: Graph = field(default_factory=Graph)
    synthetic: Synthetic = field(default_factory=Synthetic)


@dataclass(frozen=True)
class Improvements:
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
    type: Literal["mse", "huber"] = "mse"
    huber_delta: float = number(1.0, 1e-4, 1e4)
    rank_weight: float = number(0.5, 0.0, 100.0)


@dataclass(frozen=True)
class Optimizer:
    lr: float = number(1e-3, 1e-8, 1.0)
    weight_decay: float = number(1e-2, 0.0, 1.0)
    clip_grad_norm: float = number(5.0, 1e-3, 1e6)


@dataclass(frozen=True)
class Scheduler:
    warmup_steps: int = number(100, 0, 10**7)


@dataclass(frozen=True)
class Ema:
    enabled: bool = False
    decay: float = number(0.999, 0.0, 1.0)


@dataclass(frozen=True)
class GradScaler:
    init_scale: float = number(1024.0, 1.0, 2.0**24)


@dataclass(frozen=True)
class Settings:
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    improvements: Improvements = field(default_factory=Improvements)
    training: Training = field(default_factory=Training)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    scheduler: Scheduler = field(default_factory=Scheduler)
    ema: Ema = field(default_factory=Ema)
    grad_scaler: GradScaler = field(default_factory=GradScaler)

    @property
    def ema_on(self) -> bool:
        """A double switch: both, or it is off."""
        return self.improvements.use_ema and self.ema.enabled

    @property
    def huber_on(self) -> bool:
        """`huber_loss: false` means MSE whatever `loss.type` says."""
        return self.improvements.huber_loss and self.loss.type == "huber"

    def effective(self) -> dict[str, Any]:
        """Dotted key to the value in effect, double switches resolved: what the first event echoes."""
        flat = _flatten(dataclasses.asdict(self))
        flat["improvements.use_ema"] = flat["ema.enabled"] = self.ema_on
        flat["improvements.huber_loss"] = self.huber_on
        flat["loss.type"] = "huber" if self.huber_on else "mse"
        return flat


def load(paths: list[Path]) -> tuple[Settings, str]:
    """Settings of these files laid over each other, and their config digest. Raises SettingsError."""
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
    """Raises SettingsError for what is unknown, of the wrong kind, out of its range, or does not go together."""
    settings: Settings = bind(Settings, values, "")
    data = settings.data
    if not data.horizons or min(data.horizons) < 1 or len(set(data.horizons)) < len(data.horizons):
        raise SettingsError("data.horizons: at least one, each 1 or more, none twice")
    if len(set(data.extra_features)) < len(data.extra_features):
        raise SettingsError("data.extra_features: a column stands twice")
    for name in ("train_end", "validation_end"):
        _check_date(f"data.{name}", getattr(data, name))
    if data.train_end and data.validation_end and data.train_end >= data.validation_end:
        raise SettingsError(f"data.validation_end: {data.validation_end} is not after data.train_end, {data.train_end}")
    return settings


def check_even_shards(settings: Settings, processes: int) -> None:
    """Raises SettingsError where the dates of a step can't be shared out evenly."""
    dates = settings.training.dates_per_step
    if dates % processes:
        raise SettingsError(
            f"training.dates_per_step: {dates} dates can't be shared by {processes} processes; "
            f"a multiple of {processes} can"
        )


def _check_date(key: str, value: str | None) -> None:
    try:
        if value is not None:
            datetime.date.fromisoformat(value)
    except ValueError:
        raise SettingsError(f"{key}: {value!r} is no date; write 2017-12-31") from None


def _flatten(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = value
    return flat


ReadConfig = Callable[[], tuple[Settings, str]]  # the config as it stands now, and its digest; raises SettingsError
