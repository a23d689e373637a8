"""`huber_loss`: quadratic up to delta, linear beyond, so that one outlier can't push with more than delta."""

from __future__ import annotations

import torch.nn.functional as nf
from torch import Tensor


def huber(prediction: Tensor, target: Tensor, delta: float) -> Tensor:
    """Element by element, [N, H]; delta is in units of the target's standard deviation."""
    return nf.huber_loss(prediction, target, reduction="none", delta=delta)
