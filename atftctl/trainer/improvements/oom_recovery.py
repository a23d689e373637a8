"""`auto_recover_oom`: after an out of memory, run the temporal encoder in more pieces and repeat the same step.

The result does not change: each stock is encoded by itself, and random numbers are drawn for all stocks beforehand.
"""

from __future__ import annotations

import gc

import torch

from atftctl.trainer.model.atft import ATFT

MAX_CHUNKS = 64


class OomRecovery:
    """Doubles the number of pieces each time, up to MAX_CHUNKS."""

    def __init__(self, model: ATFT) -> None:
        self._model = model

    def recover(self) -> int | None:
        """Free the memory of the failed step and double the pieces; return their number, or None at the limit.

        Call it outside the `except`: the exception holds references to the tensors of the failed step.
        """
        if self._model.chunks >= MAX_CHUNKS:
            return None
        self._model.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._model.chunks *= 2
        return self._model.chunks
