"""`output_head_small_init`: predictions start near zero, so that the first steps change the encoder only a little.

Truncated normal weights with a standard deviation of 0.01, zero bias, and a LayerScale of 0.1 on the output (Touvron et
al. 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atftctl.trainer.model.atft import ATFT, Head

STD, SCALE = 0.01, 0.1
KEY = "head.layer_scale"


class SmallInitHead(Head):
    """The head with a small start and a trained scale for each horizon, [N, d] → [N, H]."""

    def __init__(self, hidden: int, horizons: int) -> None:
        super().__init__(hidden, horizons)
        self.layer_scale = nn.Parameter(torch.full((horizons,), SCALE))
        nn.init.trunc_normal_(self.outer.weight, std=STD)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.layer_scale


def install(model: ATFT, hidden: int, horizons: int) -> None:
    """Replace the head of a new model."""
    model.head = SmallInitHead(hidden, horizons)


def add_layer_scale(state: dict[str, Tensor]) -> None:
    """Add a LayerScale of 1 to the state of a trained head, which keeps its predictions and its gradients.

    The small scale is for the start only: added later, it would make its own gradient ten times too large.
    """
    state[KEY] = torch.ones_like(state["head.outer.bias"])
