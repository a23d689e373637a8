"""Features and targets from a panel. A feature of day t uses prices up to t; a target is t to t+h.

Each raw feature stands twice: raw, and ranked across the day's stocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.panel import Array, Panel

VERSION = 1
RAW = (
    "return_1", "return_5", "return_20", "gap", "intraday", "range", "close_in_range",
    "volume_ratio", "turnover", "to_mean_5", "to_mean_20", "volatility_20", "to_high_20",
)  # fmt: skip
COUNT = 2 * len(RAW)


def make_features(panel: Panel) -> Array:
    """[days, stocks, COUNT] float32; NaN in every feature of a stock that did not trade on that day."""
    close = _fill(panel.close)
    with np.errstate(all="ignore"):
        raw = _raw(panel, close)
    traded = np.isfinite(panel.close)
    features = np.empty((*close.shape, COUNT), np.float32)
    for index, name in enumerate(RAW):
        column = np.where(traded, raw[name], np.nan).astype(np.float32)
        column = np.where(traded & ~np.isfinite(column), 0, column)  # too little history: neutral
        features[..., index] = column
        features[..., len(RAW) + index] = rank(column)
    return features


def _raw(panel: Panel, close: Array) -> dict[str, npt.NDArray[Any]]:
    returns = _lagged(close, 1)
    width = panel.high - panel.low
    turnover = np.log1p(panel.close * panel.volume)
    return {
        "return_1": returns,
        "return_5": _lagged(close, 5),
        "return_20": _lagged(close, 20),
        "gap": panel.open / _shift(close, 1) - 1,
        "intraday": panel.close / panel.open - 1,
        "range": width / panel.close,
        "close_in_range": np.where(width > 0, (panel.close - panel.low) / width - 0.5, 0),
        "volume_ratio": np.log1p(panel.volume) - _rolling(np.log1p(panel.volume), 20, np.nanmean),
        "turnover": turnover,
        "to_mean_5": close / _rolling(close, 5, np.nanmean) - 1,
        "to_mean_20": close / _rolling(close, 20, np.nanmean) - 1,
        "volatility_20": _rolling(returns, 20, np.nanstd),
        "to_high_20": close / _rolling(panel.high, 20, np.nanmax) - 1,
    }


def make_targets(panel: Panel, horizons: tuple[int, ...]) -> Array:
    """Ranked future returns [days, stocks, horizons], of unit variance on each day. NaN without a future."""
    ranked = np.full((*panel.close.shape, len(horizons)), np.nan, np.float32)
    for index, horizon in enumerate(horizons):
        if horizon < len(panel.close):
            ranked[:-horizon, :, index] = rank(panel.close[horizon:] / panel.close[:-horizon] - 1)
    return ranked


def rank(values: Array) -> Array:
    """Rank of each row's finite values, scaled to mean 0 and variance 1 (uniform on ±√3); NaN stays."""
    finite = np.isfinite(values)
    order = np.argsort(np.where(finite, values, np.inf), axis=1, kind="stable")
    ranks = np.empty(values.shape, np.float32)
    np.put_along_axis(ranks, order, np.arange(values.shape[1], dtype=np.float32)[None, :], axis=1)
    count = finite.sum(axis=1, keepdims=True)
    scaled = (2 * (ranks + 0.5) / np.maximum(count, 1) - 1) * np.sqrt(3)
    return np.where(finite & (count > 1), scaled, np.nan).astype(np.float32)


def _shift(values: Array, days: int) -> Array:
    shifted = np.full_like(values, np.nan)
    shifted[days:] = values[:-days]
    return shifted


def _lagged(close: Array, days: int) -> Array:
    return close / _shift(close, days) - 1


def _fill(close: Array, limit: int = 10) -> Array:
    """The last close of up to `limit` days ago stands for a day without trade."""
    filled = close.copy()
    age = np.zeros(close.shape[1], np.int32)
    for day in range(1, len(close)):
        empty = ~np.isfinite(close[day])
        age = np.where(empty, age + 1, 0)
        take = empty & (age <= limit)
        filled[day, take] = filled[day - 1, take]
    return filled


def _rolling(values: Array, days: int, reduce: Callable[..., Any]) -> Array:
    """`reduce` over the last `days` rows, today's included; NaN before there are so many."""
    result = np.full_like(values, np.nan)
    if len(values) < days:
        return result
    if reduce is np.nanmax:
        windows = np.lib.stride_tricks.sliding_window_view(values, days, axis=0)
        result[days - 1 :] = windows.max(axis=-1)
        return result
    clean = np.nan_to_num(values.astype(np.float64))
    count = _sums(np.isfinite(values).astype(np.float64), days)
    mean = _sums(clean, days) / count
    if reduce is np.nanmean:
        result[days - 1 :] = np.where(count > 0, mean, np.nan)
    else:
        variance = np.maximum(_sums(clean**2, days) / count - mean**2, 0)
        result[days - 1 :] = np.where(count > 1, np.sqrt(variance), np.nan)
    return result


def _sums(values: npt.NDArray[np.float64], days: int) -> npt.NDArray[np.float64]:
    """Sums over windows of `days` rows, each from its own rows only: a running difference would carry rounding of
    the past."""
    return np.lib.stride_tricks.sliding_window_view(values, days, axis=0).sum(axis=-1)
