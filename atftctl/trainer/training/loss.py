"""The loss of one date: Σ_h w_h L_h + λ Σ_h w_h (1 - Pearson_h), and two figures that are comparable across settings.

h is the horizon, L_h the squared or Huber error, λ `loss.rank_weight`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from atftctl.trainer.config.settings import Settings

WEIGHTS = {1: 1.0, 5: 0.8, 10: 0.7, 20: 0.5}
OTHER_HORIZON = 0.6


@dataclass(frozen=True)
class Losses:
    """`total` is minimised; `relative` is `total` divided by the loss of predicting zero; `mse` is the weighted mean
    squared error, whatever the loss is."""

    total: Tensor
    relative: float
    mse: float


def definitions(settings: Settings) -> dict[str, str]:
    """What the columns of losses in the metrics mean: a value can be compared with that of another run only if both are
    equal. So it is with `loss_rel`, too: Huber makes it lower by half of what 1,000 steps gain (measured)."""
    error = f"huber {settings.loss.huber_delta:g}" if settings.huber_on else "squared"
    loss = f"{error}, rank weight {settings.loss.rank_weight:g}"
    return {"loss": loss, "loss_rel": f"{loss}, relative to predicting zero", "mse": "squared"}


class LossFunction:
    """The loss that the settings choose."""

    def __init__(self, settings: Settings) -> None:
        self._weights = torch.tensor([WEIGHTS.get(horizon, OTHER_HORIZON) for horizon in settings.data.horizons])
        self._rank_weight = settings.loss.rank_weight
        self._element: Callable[[Tensor, Tensor], Tensor] = _squared
        if settings.huber_on:
            from atftctl.trainer.improvements.huber import huber

            delta = settings.loss.huber_delta
            self._element = lambda prediction, target: huber(prediction, target, delta)

    def __call__(self, prediction: Tensor, target: Tensor) -> Losses:
        """Return the losses of one date. `prediction` and `target` are [N stocks, H horizons]; where the target is NaN
        (no future price) the cell does not count."""
        weights = self._weights.to(prediction.device)
        known = torch.isfinite(target)
        y = torch.where(known, target, torch.zeros_like(target))
        p = torch.where(known, prediction, torch.zeros_like(prediction))
        count = known.sum(dim=0).clamp(min=1)
        total = (weights * self._element(p, y).sum(dim=0) / count).sum()
        total = total + self._rank_weight * (weights * (1 - pearson(p, y, known))).sum()
        with torch.no_grad():
            zero = (weights * self._element(torch.zeros_like(y), y).sum(dim=0) / count).sum()
            zero = zero + self._rank_weight * weights.sum()
            mse = float((weights * ((p - y) ** 2).sum(dim=0) / count).sum())
        return Losses(total, float(total.detach() / zero), mse)


def _squared(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target) ** 2


def pearson(p: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """Return the Pearson correlation [H] over the stocks of one date; p and y are [N, H], `known` marks what counts."""
    count = known.sum(dim=0).clamp(min=1)
    p = torch.where(known, p - p.sum(dim=0) / count, torch.zeros_like(p))
    y = torch.where(known, y - y.sum(dim=0) / count, torch.zeros_like(y))
    return (p * y).sum(dim=0) / ((p * p).sum(dim=0) * (y * y).sum(dim=0) + 1e-8).sqrt()
