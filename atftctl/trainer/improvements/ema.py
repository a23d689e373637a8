"""`use_ema`: a second set of weights, an exponential moving average, used for evaluation only."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Ema:
    """The averaged model. `decay`: the share of the average that is kept in each step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=False)

    @property
    def model(self) -> nn.Module:
        """The model with the averaged weights."""
        module: nn.Module = self._averaged.module
        return module

    def update(self, model: nn.Module) -> None:
        """Move the average towards the weights of `model`, and copy its buffers."""
        self._averaged.update_parameters(model)
        for averaged, raw in zip(self._averaged.module.buffers(), model.buffers(), strict=True):
            averaged.copy_(raw)

    def state_dict(self) -> dict[str, object]:
        return self._averaged.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        self._averaged.load_state_dict(state)
