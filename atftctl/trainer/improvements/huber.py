"""`huber_loss`: quadratic up to delta and linear beyond (Huber 1964), so an outlier's gradient is at most delta."""

from __future__ import annotations

import torch.nn.functional as nf
from torch import Tensor


def huber(prediction: Tensor, target: Tensor, delta: float) -> Tensor:
    """Return the loss of each element, [N, H]. `delta` is in units of the target's standard deviation."""
    return nf.huber_loss(prediction, target, reduction="none", delta=delta)
