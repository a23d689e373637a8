"""ATFT-GAT-FAN: a temporal encoder for each stock, attention over the day's graph, a gated fusion, one head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as nf
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from atftctl.trainer.config.settings import Model as ModelSettings
from atftctl.trainer.data.dataset import Day
from atftctl.trainer.model.graph_attention import GraphAttention
from atftctl.trainer.model.layers import GatedResidual, LastStepAttention, MultiWindowNorm, VariableSelection


class FixedNorm(nn.Module):
    """Standardises features with the mean and standard deviation [F] of the training split, clipped to ±10."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.deviation.clamp(min=1e-6)).clamp(-10, 10)


class TemporalEncoder(nn.Module):
    """Encodes the sequence of each stock, [N, T, F] → [N, d].

    The stocks do not influence each other, so the encoder can run on pieces of the stocks with the same result.
    """

    def __init__(self, features: int, settings: ModelSettings) -> None:
        super().__init__()
        d = settings.hidden_size
        self.window_norm = MultiWindowNorm()
        self.select = VariableSelection(features, d)
        self.lstm = nn.LSTM(d, d, batch_first=True)
        self.skip = nn.Linear(d, 2 * d)
        self.norm = nn.LayerNorm(d)
        self.attend = LastStepAttention(d, _heads(d, settings.gat_heads))
        self.out = GatedResidual(d, d)

    def forward(self, x: Tensor, spectrum_mask: Tensor | None) -> Tensor:
        x = self.window_norm(x)
        if spectrum_mask is not None:
            x = torch.fft.irfft(torch.fft.rfft(x, dim=1) * spectrum_mask[:, :, None], n=x.shape[1], dim=1)
        e = self.select(x)
        h, _ = self.lstm(e)
        h = self.norm(e + nf.glu(self.skip(h), dim=-1))
        out: Tensor = self.out(h[:, -1] + self.attend(h))
        return out


class Head(nn.Module):
    """Linear → GELU → Linear, [N, d] → [N, H]."""

    def __init__(self, hidden: int, horizons: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden, hidden)
        self.outer = nn.Linear(hidden, horizons)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.outer(nf.gelu(self.inner(x)))
        return out


SCALE = 0.1  # of the linear path: at 1 its gradient against a head that starts near zero is 150, with it 15


class PeerContrast(nn.Module):
    """Linear path from the last day's ranked features, and their distance to the mean of the stock's neighbours.

    x [N, F], neighbours [N, K] → [N, H]. It takes ranks only, because the tails of raw features would dominate a linear
    path. The deep part then only has to learn what is not linear in them (Wide & Deep, Cheng et al. 2016). That a stock
    returns towards its peers is the strongest signal in daily prices: docs/trainer.md has the figures. A run from
    scratch starts at the closed-form solution of model/ridge.py.
    """

    ranked: Tensor

    def __init__(self, ranked: Sequence[int], horizons: int) -> None:
        super().__init__()
        self.register_buffer("ranked", torch.tensor(ranked), persistent=False)
        self.linear = nn.Linear(2 * len(ranked), horizons, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor, neighbours: Tensor) -> Tensor:
        out: Tensor = SCALE * self.linear(self.inputs(x, neighbours))
        return out

    def inputs(self, x: Tensor, neighbours: Tensor) -> Tensor:
        """Return [N, 2R]: the R ranked features, and the distance of each to the mean of the neighbours."""
        x = x[:, self.ranked]
        return torch.cat([x, x - nf.embedding(neighbours, x).mean(dim=1)], dim=-1)


class ATFT(nn.Module):
    """The whole model. An improvement replaces `normalise`, `mask`, `head`, or the `scores` of the attention."""

    def __init__(
        self, ranked: Sequence[int], horizons: int, settings: ModelSettings, mean: Tensor, deviation: Tensor
    ) -> None:
        """`ranked`: indices of the features that are ranks; `mean`, `deviation` [F] of the training split."""
        super().__init__()
        d, heads = settings.hidden_size, _heads(settings.hidden_size, settings.gat_heads)
        self.normalise: FixedNorm = FixedNorm(mean, deviation)
        self.encoder = TemporalEncoder(len(mean), settings)
        layers = [GraphAttention(d, heads, d // heads, concatenate=True) for _ in range(settings.gat_layers - 1)]
        self.graph = nn.ModuleList([*layers, GraphAttention(d, 2, d, concatenate=False)])
        self.drop = nn.Dropout(settings.dropout)
        self.fuse = nn.Linear(2 * d, d)
        self.head: Head = Head(d, horizons)
        self.peers = PeerContrast(ranked, horizons)
        self.mask: Callable[[Tensor], Tensor] | None = None  # draws [N, bins]: 0 for a frequency to drop, else 1
        self.chunks = 1

    @property
    def attention_layers(self) -> list[GraphAttention]:
        """The layers of graph attention, first to last."""
        return [layer for layer in self.graph if isinstance(layer, GraphAttention)]

    def forward(self, day: Day) -> Tensor:
        """Return predictions [N, H] for the stocks of one day."""
        x = self.normalise(day.x)
        mask = self.mask(x) if self.mask is not None and self.training else None
        h = self.encode(x, mask)
        z = h
        for layer in self.attention_layers:
            z = z + self.drop(nf.elu(layer(z, day.neighbours, day.edges)))
        gate = torch.sigmoid(self.fuse(torch.cat([h, z], dim=-1)))
        out: Tensor = self.head(self.drop(gate * h + (1 - gate) * z)) + self.peers(x[:, -1], day.neighbours)
        return out

    def encode(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode x [N, T, F] with the mask [N, bins], in `chunks` pieces; return [N, d].

        With more than one piece the activations are computed again in the backward pass: the same result with less
        memory.
        """
        if self.chunks <= 1:
            whole: Tensor = self.encoder(x, mask)
            return whole
        pieces = x.chunk(self.chunks)
        masks = mask.chunk(self.chunks) if mask is not None else (None,) * len(pieces)
        parts = [
            checkpoint(self.encoder, piece, piece_mask, use_reentrant=False, preserve_rng_state=False)
            for piece, piece_mask in zip(pieces, masks, strict=True)
        ]
        return torch.cat(parts)


def _heads(hidden: int, wanted: int) -> int:
    """Return the largest number of heads, up to `wanted`, that divides the hidden size."""
    return next(heads for heads in range(min(wanted, hidden), 0, -1) if hidden % heads == 0)


def parameter_count(model: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters())
