"""`online_normalization`: mean and variance learned while streaming (Welford's merge), frozen in evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from atftctl.trainer.model.atft import ATFT, FixedNorm

COUNT = "normalise.count"
PRIOR = 1_000.0  # the training split's statistics count as so many rows: the first batch does not throw them over


class OnlineNorm(FixedNorm):
    """Starts from what it is given, and moves with each training batch."""

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__(mean, deviation)
        self.register_buffer("count", torch.tensor(PRIOR, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self._update(x)
        return super().forward(x)

    @torch.no_grad()
    def _update(self, x: Tensor) -> None:
        """Chan's parallel form of Welford's update, with the rows [N * T, F] of one batch."""
        rows = x.reshape(-1, x.shape[-1])
        n = rows.shape[0]
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
        total = self.count + n
        share = (n / total).to(mean.dtype)
        delta = mean - self.mean
        old = self.deviation**2
        self.deviation.copy_((old + (variance - old) * share + delta**2 * share * (1 - share)).sqrt())
        self.mean.add_(delta * share)
        self.count.copy_(total)


def install(model: ATFT, mean: Tensor, deviation: Tensor) -> None:
    model.normalise = OnlineNorm(mean, deviation)
