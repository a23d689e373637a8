"""`online_normalization`: mean and variance are learned during training (Welford's update), and fixed in evaluation.

A step normalises with the statistics of the steps before it. Its own rows are merged once, at its end, over all dates
and all processes. So the result depends neither on how a batch is divided nor on whether a step had to be repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atftctl.trainer.model.atft import ATFT, FixedNorm
from atftctl.trainer.runtime.distributed import ProcessGroup

PRIOR = 1_000.0  # rows that the training split's statistics count as, so that the first batch moves them only a little


class OnlineNorm(FixedNorm):
    """Starts from the given mean and deviation [F], and moves with each training step."""

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
        """Forget the rows of the current step, because it will be run again."""
        self._seen.clear()

    @torch.no_grad()
    def merge(self, group: ProcessGroup) -> None:
        """Merge the rows of this step into the statistics, with the same result in all processes.

        This is the parallel form of Welford's update (Chan, Golub & LeVeque 1983).
        """
        moments = torch.stack(self._seen).sum(dim=0) if self._seen else torch.zeros(2 * len(self.mean) + 1)
        self._seen.clear()
        n, shift, square = group.sum(moments.double()).split([1, len(self.mean), len(self.mean)])
        n = n[0].clamp(min=1)
        delta = shift / n  # the step's mean minus the mean so far
        variance = (square / n - delta**2).clamp(min=0)
        total = self.count + n
        share = n / total
        old = self.deviation.double() ** 2
        merged = old + (variance - old) * share + delta**2 * share * (1 - share)
        self.deviation.copy_(merged.sqrt())
        self.mean.add_((delta * share).to(self.mean.dtype))
        self.count.copy_(total)


def _moments(shifted: Tensor) -> Tensor:
    """Return [1 + 2F] float64: number of rows, sums of the values, sums of their squares.

    The values are relative to the mean so far; near zero their sums lose no precision in float32.
    """
    rows = shifted.reshape(-1, shifted.shape[-1])
    count = torch.tensor([float(len(rows))], device=rows.device)
    return torch.cat([count, rows.sum(dim=0), (rows * rows).sum(dim=0)]).double()


def install(model: ATFT, mean: Tensor, deviation: Tensor) -> OnlineNorm:
    """Replace the model's normalisation; return the new one, whose `merge` is due after each step."""
    norm = OnlineNorm(mean, deviation)
    model.normalise = norm
    return norm
