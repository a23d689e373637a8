"""Differences of RankIC by date between two models of real prices: ridge regressions on simple features, and the same
with a change. Their mean is subtracted, so that the true difference is known: zero.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Array = npt.NDArray[np.float64]

HORIZONS = (1, 5, 20)
TRAINED_UNTIL = "2017-12-31"
PENALTY = 0.01


@dataclass(frozen=True)
class Market:
    """features: [features, dates, stocks], ranked over the stocks of a date to -0.5 ... 0.5, NaN where unknown. returns:
    the returns of the next days by horizon, ranked in the same way. train: the number of dates to fit on."""

    features: Array
    returns: dict[int, Array]
    train: int


def market(path: Path, stocks: int | None = None) -> Market:
    """Read the panel; `stocks`: only so many of them."""
    import numpy as np
    import pandas as pd

    panel = pd.read_parquet(path, columns=["date", "ticker", "open", "high", "low", "close", "volume"])
    names = sorted(panel["ticker"].unique())[:stocks]
    wide = panel[panel["ticker"].isin(names)].pivot_table(index="date", columns="ticker", sort=True)
    close = wide["close"]
    moves = close.pct_change(fill_method=None)
    features = [
        moves,
        close / close.shift(5) - 1,
        close / close.shift(20) - 1,
        moves.rolling(20, min_periods=15).std(),
        (wide["high"] - wide["low"]) / close,
        wide["open"] / close.shift(1) - 1,
        wide["volume"] / wide["volume"].rolling(20, min_periods=15).mean(),
    ]
    returns = {days: _ranked(close.shift(-days) / close - 1) for days in HORIZONS}
    train = int((pd.to_datetime(close.index) <= TRAINED_UNTIL).sum())
    return Market(np.stack([_ranked(feature) for feature in features]), returns, train)


def _ranked(values: pd.DataFrame) -> Array:
    """Ranks over the stocks of each date, from -0.5 to 0.5."""
    ranks: Array = values.rank(axis=1, pct=True).to_numpy() - 0.5
    return ranks


def differences(prices: Market, horizon: int) -> dict[str, list[float]]:
    """By the kind of change: RankIC of the changed model minus that of the model, by date."""
    import numpy as np

    dates = np.arange(prices.train)
    weights = _ridge(prices, horizon, dates)
    noise = np.random.default_rng(1).normal(size=weights.shape)
    models = {
        "fitted on half of the days": _ridge(prices, horizon, dates[dates % 2 == 0]),
        "every second feature": weights * (np.arange(len(weights)) % 2),
        "noise on the weights": weights + 0.5 * np.abs(weights).mean() * noise,
    }
    plain = _rankic(prices, horizon, weights)
    return {name: _known(_rankic(prices, horizon, changed) - plain) for name, changed in models.items()}


def _ridge(prices: Market, horizon: int, dates: npt.NDArray[np.int64]) -> Array:
    """The weights that minimise Σ (y - x·w)² + PENALTY · rows · |w|²."""
    import numpy as np

    x = prices.features[:, dates].reshape(len(prices.features), -1)
    y = prices.returns[horizon][dates].ravel()
    known = np.isfinite(y) & np.isfinite(x).all(axis=0)
    x, y = x[:, known], y[known]
    gram = x @ x.T + PENALTY * known.sum() * np.eye(len(x)) * float((x * x).mean())
    solution: Array = np.linalg.solve(gram, x @ y)
    return solution


def _rankic(prices: Market, horizon: int, weights: Array) -> Array:
    """The rank correlation of forecast and return by date, NaN where fewer than 20 stocks have both."""
    import numpy as np
    import pandas as pd

    forecast = np.tensordot(weights, prices.features, axes=1)
    target = prices.returns[horizon]
    known = np.isfinite(forecast) & np.isfinite(target)
    left, right = (
        pd.DataFrame(np.where(known, values, np.nan)).rank(axis=1).to_numpy() for values in (forecast, target)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            values - np.nansum(values, axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
            for values in (left, right)
        )
        product = np.nansum(left * right, axis=1)
        correlation: Array = product / np.sqrt(np.nansum(left**2, axis=1) * np.nansum(right**2, axis=1))
    return np.where(known.sum(axis=1) >= 20, correlation, np.nan)


def _known(values: Array) -> list[float]:
    """The finite ones, minus their mean."""
    import numpy as np

    finite = values[np.isfinite(values)]
    return [float(value) for value in finite - finite.mean()]


def resampled(values: list[float], count: int, horizon: int, seed: int, times: int) -> Iterator[list[float]]:
    """Series of `count` dates, made of blocks of the long one, which is closed to a circle.

    A block has 20 dates, or three horizons: the dependence of neighbours stays, and the true mean is zero.
    """
    source = random.Random(f"{count} {horizon} {seed}")
    circle, block = values + values, max(20, 3 * horizon)
    for _ in range(times):
        drawn: list[float] = []
        while len(drawn) < count:
            start = source.randrange(len(values))
            drawn += circle[start : start + min(block, count - len(drawn))]
        yield drawn


def windows(values: list[float], count: int) -> list[list[float]]:
    """Disjoint windows of the long series, as they are: their true mean is zero only on average."""
    return [values[at : at + count] for at in range(0, len(values) - count + 1, count)]
