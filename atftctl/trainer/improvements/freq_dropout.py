"""`freq_dropout_p`: in training, with probability p a stock loses one band of frequencies over time, never the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from atftctl.trainer.model.atft import ATFT

NARROWEST, WIDEST = 0.05, 0.2  # of the bins


def install(model: ATFT, p: float) -> None:
    def draw(x: Tensor) -> Tensor:
        return spectrum_mask(x.shape[0], x.shape[1] // 2 + 1, p, x.device)

    model.mask = draw


def spectrum_mask(stocks: int, bins: int, p: float, device: torch.device) -> Tensor:
    """[stocks, bins] of 1 and 0. Drawn for all stocks at once, so that it does not depend on how the encoder is
    cut up."""
    width = torch.empty(stocks, device=device).uniform_(NARROWEST, WIDEST).mul_(bins).round_().clamp_(1, bins - 1)
    first = 1 + (torch.rand(stocks, device=device) * (bins - width)).floor()
    hit = torch.rand(stocks, device=device) < p
    bin_ = torch.arange(bins, device=device)
    dropped = (bin_ >= first[:, None]) & (bin_ < (first + width)[:, None]) & hit[:, None]
    return (~dropped).float()
