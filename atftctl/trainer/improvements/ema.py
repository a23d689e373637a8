"""`use_ema`: a second, averaged set of weights, used for evaluation. Training always goes on from the raw ones."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Ema:
    def __init__(self, model: nn.Module, decay: float) -> None:
        self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=False)

    @property
    def model(self) -> nn.Module:
        module: nn.Module = self._averaged.module
        return module

    def update(self, model: nn.Module) -> None:
        self._averaged.update_parameters(model)
        for mine, theirs in zip(self._averaged.module.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, object]:
        return self._averaged.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        self._averaged.load_state_dict(state)
