"""`online_normalization`: mean and variance learned while streaming (Welford's merge), frozen in evaluation.

A step normalises with the statistics of the steps before it; what it saw is merged once, at its end, over all dates
and all processes. So the result depends neither on how a batch is shared out nor on a step that had to be repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atftctl.trainer.model.atft import ATFT, FixedNorm
from atftctl.trainer.runtime.distributed import ProcessGroup

PRIOR = 1_000.0  # the training split's statistics count as so many rows: the first batch does not throw them over


class OnlineNorm(FixedNorm):
    """Starts from what it is given, and moves with each training step."""

    count: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__(mean, deviation)
        self.register_buffer("count", torch.tensor(PRIOR, dtype=torch.float64))
        self._seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self._seen.append(_moments(x.detach() - self.mean))
        return super().forward(x)

    def discard(self) -> None:
        """Forget what the step at hand saw: it is going to be taken again."""
        self._seen.clear()

    @torch.no_grad()
    def merge(self, group: ProcessGroup) -> None:
        """Chan's parallel form of Welford's update, with the rows of this step, on all processes alike."""
        moments = torch.stack(self._seen).sum(dim=0) if self._seen else torch.zeros(2 * len(self.mean) + 1)
        self._seen.clear()
        n, shift, square = group.sum(moments.double()).split([1, len(self.mean), len(self.mean)])
        n = n[0].clamp(min=1)
        delta = shift / n  # of the step's mean from the one so far
        variance = (square / n - delta**2).clamp(min=0)
        total = self.count + n
        share = n / total
        old = self.deviation.double() ** 2
        merged = old + (variance - old) * share + delta**2 * share * (1 - share)
        self.deviation.copy_(merged.sqrt())
        self.mean.add_((delta * share).to(self.mean.dtype))
        self.count.copy_(total)


def _moments(shifted: Tensor) -> Tensor:
    """[1 + 2F] float64: rows, and the sums of the values and of their squares, taken from the mean so far: near it,
    float32 loses nothing."""
    rows = shifted.reshape(-1, shifted.shape[-1])
    count = torch.tensor([float(len(rows))], device=rows.device)
    return torch.cat([count, rows.sum(dim=0), (rows * rows).sum(dim=0)]).double()


def install(model: ATFT, mean: Tensor, deviation: Tensor) -> OnlineNorm:
    norm = OnlineNorm(mean, deviation)
    model.normalise = norm
    return norm
