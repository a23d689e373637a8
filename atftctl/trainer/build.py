"""A model with the improvements that are on. Each is imported here, when it is on, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from atftctl.trainer.data.dataset import Dataset
from atftctl.trainer.model.atft import ATFT
from atftctl.trainer.settings import Settings


@dataclass
class Built:
    model: ATFT
    ema: Any = None  # improvements.ema.Ema, where it is on

    @property
    def judged(self) -> torch.nn.Module:
        """The weights that evaluation uses: the averaged ones where there are any."""
        return self.model if self.ema is None else self.ema.model

    @property
    def judged_name(self) -> str:
        return "raw" if self.ema is None else "averaged"


def build(settings: Settings, dataset: Dataset, device: torch.device) -> Built:
    """Seeded by `training.seed`: the same settings give the same first weights."""
    torch.manual_seed(settings.training.seed)
    mean, deviation = dataset.training_statistics()
    horizons = len(settings.data.horizons)
    model = ATFT(dataset.feature_count, horizons, settings.model, mean, deviation)
    on = settings.improvements
    if on.output_head_small_init:
        from atftctl.trainer.improvements import small_init

        small_init.install(model, settings.model.hidden_size, horizons)
    if on.gat_temperature != 1.0:
        from atftctl.trainer.improvements import gat_temperature

        gat_temperature.install(model, on.gat_temperature)
    if on.freq_dropout_p > 0:
        from atftctl.trainer.improvements import freq_dropout

        freq_dropout.install(model, on.freq_dropout_p)
    if on.online_normalization:
        from atftctl.trainer.improvements import online_norm

        online_norm.install(model, mean, deviation)
    model.chunks = settings.training.encoder_chunks
    model.to(device)
    built = Built(model)
    if settings.ema_on:
        from atftctl.trainer.improvements.ema import Ema

        built.ema = Ema(model, settings.ema.decay)
    return built
