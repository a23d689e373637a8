"""`gat_temperature`: α = softmax(e / τ). Below 1 the attention concentrates on few neighbours, above 1 it spreads."""

from __future__ import annotations

from torch import Tensor

from atftctl.trainer.model.atft import ATFT


def install(model: ATFT, temperature: float) -> None:
    """Divide the attention scores of every layer by the temperature τ."""

    def divide(e: Tensor) -> Tensor:
        return e / temperature

    for layer in model.attention_layers:
        layer.scores = divide
