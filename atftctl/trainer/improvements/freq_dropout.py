"""`freq_dropout_p`: in training, each stock loses one band of frequencies with probability p, but never its mean."""

from __future__ import annotations

import torch
from torch import Tensor

from atftctl.trainer.model.atft import ATFT

NARROWEST, WIDEST = 0.05, 0.2  # width of the band, as a share of the frequency bins


def install(model: ATFT, p: float) -> None:
    """Let the model drop a band of each stock with probability p, in training."""

    def draw(x: Tensor) -> Tensor:
        return spectrum_mask(x.shape[0], x.shape[1] // 2 + 1, p, x.device)

    model.mask = draw


def spectrum_mask(stocks: int, bins: int, p: float, device: torch.device) -> Tensor:
    """Return [stocks, bins] of 1 (keep) and 0 (drop).

    It is drawn for all stocks at once, so that it does not depend on the number of pieces of the encoder.
    """
    width = torch.empty(stocks, device=device).uniform_(NARROWEST, WIDEST).mul_(bins).round_().clamp_(1, bins - 1)
    first = 1 + (torch.rand(stocks, device=device) * (bins - width)).floor()
    hit = torch.rand(stocks, device=device) < p
    bin_ = torch.arange(bins, device=device)
    dropped = (bin_ >= first[:, None]) & (bin_ < (first + width)[:, None]) & hit[:, None]
    return (~dropped).float()
