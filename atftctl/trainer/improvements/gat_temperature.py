"""`gat_temperature`: α = softmax(e / τ). Below 1 a stock listens to fewer neighbours, above 1 to all alike."""

from __future__ import annotations

from torch import Tensor

from atftctl.trainer.model.atft import ATFT


def install(model: ATFT, temperature: float) -> None:
    def divide(e: Tensor) -> Tensor:
        return e / temperature

    for layer in model.attention_layers:
        layer.scores = divide
