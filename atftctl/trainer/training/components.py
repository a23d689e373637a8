"""Builds from the settings the model with the improvements that are on, its loss function and its optimiser.

Each improvement is imported here, when it is on, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from atftctl.trainer.config.settings import Settings
from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.model.atft import ATFT
from atftctl.trainer.training.evaluation import evaluation_identity
from atftctl.trainer.training.loss import LossFunction
from atftctl.trainer.training.optimizer import make_optimizer, make_scaler

if TYPE_CHECKING:
    from atftctl.trainer.improvements.ema import Ema
    from atftctl.trainer.improvements.online_norm import OnlineNorm
    from atftctl.trainer.improvements.oom_recovery import OomRecovery


@dataclass
class Parts:
    """Model, loss function and optimiser of a run, and the settings that they were built from."""

    settings: Settings
    digest: str  # of the config that they come from
    model: ATFT
    loss_function: LossFunction
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    features: tuple[str, ...]
    evaluation_identity: dict[str, Any]  # what a RankIC of this run is measured on: see evaluation.py
    ema: Ema | None = None  # this and the next two: None if the improvement is off
    statistics: OnlineNorm | None = None
    recovery: OomRecovery | None = None

    @property
    def eval_model(self) -> torch.nn.Module:
        """The model that evaluation uses: with the averaged weights if there are any, else the trained one."""
        return self.model if self.ema is None else self.ema.model

    @property
    def eval_weights(self) -> str:
        """Which weights evaluation uses: "raw" or "averaged"."""
        return "raw" if self.ema is None else "averaged"


def assemble(settings: Settings, digest: str, dataset: Dataset, device: torch.device) -> Parts:
    """Build all parts on this device. `training.seed` is the seed: the same settings give the same first weights."""
    torch.manual_seed(settings.training.seed)
    mean, deviation = dataset.training_statistics()
    model = ATFT(dataset.ranked, len(settings.data.horizons), settings.model, mean, deviation)
    statistics = _install(model, settings, mean, deviation)
    model.chunks = settings.training.encoder_chunks
    model.to(device)
    parts = Parts(
        settings,
        digest,
        model,
        LossFunction(settings),
        make_optimizer(settings, model),
        make_scaler(settings, device),
        dataset.feature_names,
        evaluation_identity(dataset, settings.data.horizons),
        statistics=statistics,
    )
    if settings.ema_on:
        from atftctl.trainer.improvements.ema import Ema

        parts.ema = Ema(model, settings.ema.decay)
    if settings.improvements.auto_recover_oom:
        from atftctl.trainer.improvements.oom_recovery import OomRecovery

        parts.recovery = OomRecovery(model)
    return parts


def _install(model: ATFT, settings: Settings, mean: torch.Tensor, deviation: torch.Tensor) -> OnlineNorm | None:
    """Install the improvements that change the model; return the running statistics, or None."""
    on = settings.improvements
    if on.output_head_small_init:
        from atftctl.trainer.improvements import small_init

        small_init.install(model, settings.model.hidden_size, len(settings.data.horizons))
    if on.gat_temperature != 1.0:
        from atftctl.trainer.improvements import gat_temperature

        gat_temperature.install(model, on.gat_temperature)
    if on.freq_dropout_p > 0:
        from atftctl.trainer.improvements import freq_dropout

        freq_dropout.install(model, on.freq_dropout_p)
    if not on.online_normalization:
        return None
    from atftctl.trainer.improvements import online_norm

    return online_norm.install(model, mean, deviation)
