"""The day's graph: each stock with its most correlated ones over the last days, today's included."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.panel import Array

KEPT = 512  # days of graph kept in memory


class DailyGraph:
    """Neighbours by correlation of daily returns. A day's graph is made when it is first asked for, from days up
    to it."""

    def __init__(self, returns: Array, size: Array, window: int, neighbours: int) -> None:
        """`returns` and `size` (log turnover) are [days, stocks], NaN where not traded."""
        self._returns = returns
        self._size = size
        self._window = window
        self._neighbours = neighbours
        self._made: OrderedDict[tuple[int, int], tuple[npt.NDArray[np.int64], Array]] = OrderedDict()

    def at(self, day: int, stocks: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Array]:
        """(neighbour [N, K] as positions in `stocks`, attributes [N, K, 3]: ρ, |ρ|, distance in size)."""
        key = (day, len(stocks))
        if key not in self._made:
            self._made[key] = self._make(day, stocks)
            if len(self._made) > KEPT:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]

    def _make(self, day: int, stocks: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Array]:
        past = self._returns[max(0, day - self._window + 1) : day + 1, stocks]
        past = (
            np.nan_to_num(past - np.nanmean(np.where(np.isfinite(past), past, np.nan), axis=0, keepdims=True))
            if len(past)
            else past
        )
        norm = np.linalg.norm(past, axis=0)
        unit = past / np.maximum(norm, 1e-12)
        correlation = (unit.T @ unit).astype(np.float32)
        np.fill_diagonal(correlation, -np.inf)
        count = min(self._neighbours, len(stocks) - 1)
        chosen = np.argpartition(-correlation, count - 1, axis=1)[:, :count].astype(np.int64)
        chosen.sort(axis=1)
        rho = np.take_along_axis(correlation, chosen, axis=1)
        size = np.nan_to_num(self._size[day, stocks])
        distance = np.abs(size[:, None] - size[chosen]) / 10
        return chosen, np.stack([rho, np.abs(rho), distance], axis=-1).astype(np.float32)
