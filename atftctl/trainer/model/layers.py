"""The blocks that the model is built of. Shapes: N stocks, T days, F features, d hidden."""

from __future__ import annotations

import torch
import torch.nn.functional as nf
from torch import Tensor, nn


class GatedResidual(nn.Module):
    """Gated residual network, LN(x + GLU(W₂ ELU(W₁ x))), [..., width] → [..., width] (Lim et al. 2021, eq. 2)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.gate = nn.Linear(hidden, 2 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x + nf.glu(self.gate(nf.elu(self.inner(x))), dim=-1))
        return out


class VariableSelection(nn.Module):
    """Variable selection, v = softmax(GRN(x)), e = Σ_f v_f (x_f w_f + c_f), [..., F] → [..., d] (Lim et al. 2021).

    Computed as two matrix products instead of a loop over features.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.weigh = GatedResidual(features, hidden)
        self.weight = nn.Parameter(torch.randn(features, hidden) / hidden**0.5)
        self.bias = nn.Parameter(torch.zeros(features, hidden))

    def forward(self, x: Tensor) -> Tensor:
        v = torch.softmax(self.weigh(x), dim=-1)
        out: Tensor = (v * x) @ self.weight * v.shape[-1] ** 0.5 + v @ self.bias
        return out


class LastStepAttention(nn.Module):
    """Interpretable attention with the last day as query, [N, T, d] → [N, d] (Lim et al. 2021).

    All heads share the values.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden // heads)
        self.out = nn.Linear(hidden // heads, hidden)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q = self.query(x[:, -1]).view(n, self.heads, 1, d // self.heads)
        k = self.key(x).view(n, t, self.heads, d // self.heads).transpose(1, 2)
        weights = torch.softmax((q * k).sum(-1) / (d // self.heads) ** 0.5, dim=-1)  # [N, heads, T]
        out: Tensor = self.out(torch.bmm(weights, self.value(x)).mean(dim=1))
        return out


class MultiWindowNorm(nn.Module):
    """FAN with causal windows: x + Σ_w softmax(a)_w (x - μ_w) / max(σ_w, 1e-4), [N, T, F] → [N, T, F].

    μ_w and σ_w are taken over the last w days. This is not the FAN with Fourier transforms of Ye et al. (NeurIPS 2024):
    its denormalisation has no meaning for targets that are ranks.
    """

    WINDOWS = (5, 10, 20)

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(len(self.WINDOWS)))

    def forward(self, x: Tensor) -> Tensor:
        share = torch.softmax(self.mix, dim=0)
        total, square = x.cumsum(dim=1), (x * x).cumsum(dim=1)
        days = torch.arange(1, x.shape[1] + 1, device=x.device)
        out = x
        for index, window in enumerate(self.WINDOWS):
            count = days.clamp(max=window).to(x.dtype)[None, :, None]
            mean = _window(total, window) / count
            variance = (_window(square, window) / count - mean * mean).clamp(min=0)
            out = out + share[index] * (x - mean) / (variance + 1e-8).sqrt().clamp(min=1e-4)
        return out


def _window(sums: Tensor, window: int) -> Tensor:
    """Return the sums over the last `window` days, from running sums over time; both [N, T, F]."""
    if window >= sums.shape[1]:
        return sums
    return sums - nf.pad(sums, (0, 0, window, 0))[:, : sums.shape[1]]
