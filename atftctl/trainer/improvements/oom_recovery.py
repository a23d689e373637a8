"""`auto_recover_oom`: after out of memory, run the temporal encoder in more pieces and take the same step again.

The pieces are exact: each stock is encoded by itself, and what is random was drawn for all of them before.
"""

from __future__ import annotations

import gc

import torch

from atftctl.trainer.model.atft import ATFT

MAX_CHUNKS = 64


class OomRecovery:
    """Doubles the pieces each time; None when there is nothing left to cut."""

    def __init__(self, model: ATFT) -> None:
        self._model = model

    def recover(self) -> int | None:
        """Free what the failed step held and cut finer; the new number of pieces. Called outside the `except`."""
        if self._model.chunks >= MAX_CHUNKS:
            return None
        self._model.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._model.chunks *= 2
        return self._model.chunks
