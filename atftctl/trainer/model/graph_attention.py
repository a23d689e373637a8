"""GATv2 over the day's graph (Brody et al. 2022).

Every stock has the same number of neighbours, so the softmax over them is dense and the cost grows linearly with the
number of stocks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as nf
from torch import Tensor, nn

Scores = Callable[[Tensor], Tensor]


class GraphAttention(nn.Module):
    """e_ij = aᵀ LeakyReLU(W_l h_j + W_r h_i + W_e edge_ij), α = softmax_j(e); heads concatenated or averaged.

    h [N, d], neighbours [N, K], edges [N, K, 3] → [N, heads * width] or [N, width]. A stock attends to itself too.
    `scores` may reshape e before the softmax (the temperature is an improvement).
    """

    def __init__(self, hidden: int, heads: int, width: int, *, concatenate: bool) -> None:
        super().__init__()
        self.heads, self.width, self.concatenate = heads, width, concatenate
        self.left = nn.Linear(hidden, heads * width)
        self.right = nn.Linear(hidden, heads * width)
        self.edge = nn.Linear(3, heads * width, bias=False)
        self.attention = nn.Parameter(torch.randn(heads, width) / width**0.5)
        self.scores: Scores | None = None

    def weights(self, h: Tensor, neighbours: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Return (α [N, K+1, heads], values [N, K+1, heads, width]); the last neighbour is the stock itself."""
        n, k = neighbours.shape
        left = self.left(h)
        values = torch.cat([nf.embedding(neighbours, left), left[:, None]], dim=1)  # twice as fast backward as indexing
        joined = values + self.right(h)[:, None] + nf.pad(self.edge(edges), (0, 0, 0, 1))
        e = (nf.leaky_relu(joined, 0.2).view(n, k + 1, self.heads, self.width) * self.attention).sum(-1)
        if self.scores is not None:
            e = self.scores(e)
        return torch.softmax(e, dim=1), values.view(n, k + 1, self.heads, self.width)

    def forward(self, h: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
        alpha, values = self.weights(h, neighbours, edges)
        out = (alpha[..., None] * values).sum(dim=1)
        return out.flatten(1) if self.concatenate else out.mean(dim=1)
