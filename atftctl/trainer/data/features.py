"""Features and targets from a panel. A feature of day t uses prices up to t; a target is the return from t to t+h.

Each raw feature appears twice: raw, and ranked across the day's stocks. They are made in blocks of days, so that the
memory needed does not grow with the panel. The values do not depend on where a block begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.files import COLUMNS, Array
from atftctl.trainer.data.panel import Panel

VERSION = 4
RETURNS = ("return_1", "return_5", "return_20", "return_60")
OF_THE_DAY = ("gap", "intraday", "range", "close_in_range", "volume_ratio", "turnover")
LEVELS = ("to_mean_5", "to_mean_20", "volatility_20", "volatility_60", "to_high_20", "to_low_20", "illiquidity")
RAW = (*RETURNS, *OF_THE_DAY, *LEVELS)
MARKET = "market_return"  # the same for all stocks of a day, so it has no rank
RANK = "_rank"  # the end of the name of a feature that is ranked across the day's stocks
LONGEST = 60  # days that a feature looks back
STALE = 10  # days for which the last close is used in place of a missing one
BLOCK_CELLS = 1 << 18  # days x stocks of one block


def names(panel: Panel) -> tuple[str, ...]:
    """Return the names of the last axis: raw, ranked, the market's return, then each extra column raw and ranked."""
    extras = tuple(panel.extras)
    return (*RAW, *(name + RANK for name in RAW), MARKET, *extras, *(name + RANK for name in extras))


def fill_features(panel: Panel, out: Array) -> None:
    """Fill `out` [days, stocks, features]; NaN in every feature of a stock that did not trade on that day."""
    history = LONGEST + STALE + 1
    for first, last in _blocks(panel):
        begin = max(0, first - history)
        grids = {name: np.asarray(getattr(panel, name)[begin:last], np.float32) for name in COLUMNS}
        columns = _columns(grids) | {
            name: np.asarray(grid[begin:last], np.float32) for name, grid in panel.extras.items()
        }
        _write_block(grids, columns, first - begin, out[first:last])


def fill_targets(panel: Panel, horizons: tuple[int, ...], out: Array) -> None:
    """Fill `out` [days, stocks, horizons] with ranked future returns, of variance 1 on each day.

    `horizons` are in days. NaN without a future price.
    """
    days = len(panel.close)
    for first, last in _blocks(panel):
        for index, horizon in enumerate(horizons):
            end = max(first, min(last, days - horizon))
            now = np.asarray(panel.close[first:end])
            out[first:end, :, index] = rank(np.asarray(panel.close[first + horizon : end + horizon]) / now - 1)
            out[end:last, :, index] = np.nan


def _blocks(panel: Panel) -> Iterator[tuple[int, int]]:
    days, stocks = panel.close.shape
    step = max(1, BLOCK_CELLS // stocks)
    for first in range(0, days, step):
        yield first, min(days, first + step)


def _write_block(grids: dict[str, Array], columns: dict[str, Array], skip: int, out: Array) -> None:
    """Write the features of one block [days, stocks, features]; the first `skip` days of `grids` are only history."""
    traded = np.isfinite(grids["close"][skip:])
    extras = [name for name in columns if name not in RAW and name != MARKET]
    for first, group in ((0, RAW), (2 * len(RAW) + 1, extras)):
        for index, name in enumerate(group):
            column = np.where(traded, columns[name][skip:], np.nan).astype(np.float32)
            column = np.where(traded & ~np.isfinite(column), 0, column)  # too little history: neutral
            out[..., first + index] = column
            out[..., first + len(group) + index] = rank(column)
    out[..., 2 * len(RAW)] = np.where(traded, columns[MARKET][skip:], np.nan)


def _columns(grids: dict[str, Array]) -> dict[str, Array]:
    close = _fill(grids["close"])
    with np.errstate(all="ignore"):
        returns = _lagged(close, 1)
        width = grids["high"] - grids["low"]
        volume = np.log1p(grids["volume"])
        money = grids["close"] * grids["volume"]
        return {
            "return_1": returns,
            "return_5": _lagged(close, 5),
            "return_20": _lagged(close, 20),
            "return_60": _lagged(close, 60),
            "gap": grids["open"] / _shift(close, 1) - 1,
            "intraday": grids["close"] / grids["open"] - 1,
            "range": width / grids["close"],
            "close_in_range": np.where(width > 0, (grids["close"] - grids["low"]) / width - 0.5, 0),
            "volume_ratio": volume - _rolling(volume, 20, _window_mean),
            "turnover": np.log1p(money),
            "to_mean_5": close / _rolling(close, 5, _window_mean) - 1,
            "to_mean_20": close / _rolling(close, 20, _window_mean) - 1,
            "volatility_20": _rolling(returns, 20, _window_std),
            "volatility_60": _rolling(returns, 60, _window_std),
            "to_high_20": close / _rolling(grids["high"], 20, _window_max) - 1,
            "to_low_20": close / -_rolling(-grids["low"], 20, _window_max) - 1,
            # Amihud (2002): absolute return for one unit of turnover, as a logarithm
            "illiquidity": np.log(_rolling(np.abs(returns) / money, 20, _window_mean) + 1e-16),
            MARKET: _mean_over_stocks(returns),
        }


def _mean_over_stocks(returns: Array) -> Array:
    known = np.isfinite(returns)
    mean = np.where(known, returns, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.broadcast_to(mean.astype(np.float32)[:, None], returns.shape)


def rank(values: Array) -> Array:
    """Return the rank of each row's finite values [days, stocks], scaled to mean 0 and variance 1 (uniform on ±√3).

    The variance is below 1 if values are equal. NaN stays NaN; so does a value that is the only one of its row.
    """
    finite = np.isfinite(values)
    ranks = average_ranks(np.where(finite, values, np.inf))
    count = finite.sum(axis=1, keepdims=True)
    scaled = (2 * (ranks + 0.5) / np.maximum(count, 1) - 1) * np.sqrt(3)
    return np.where(finite & (count > 1), scaled, np.nan).astype(np.float32)


def average_ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the ranks [rows, columns] within each row, from 0; equal values share the mean of their places.

    This is Spearman's definition (and that of scipy.stats.rankdata). It matters because prices have coarse steps, so
    that many returns are equal.
    """
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    begins = np.ones(values.shape, bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.ones(values.shape, bool)
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, values.shape[1])[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(values.shape, np.float64)
    np.put_along_axis(ranks, order, (first + last) / 2, axis=1)
    return ranks


def _shift(values: Array, days: int) -> Array:
    shifted = np.full_like(values, np.nan)
    shifted[days:] = values[:-days]
    return shifted


def _lagged(close: Array, days: int) -> Array:
    return close / _shift(close, days) - 1


def _fill(close: Array) -> Array:
    """Return the closes [days, stocks], where a day without trade has the last close of up to STALE days ago."""
    filled = close.copy()
    age = np.zeros(close.shape[1], np.int32)
    for day in range(1, len(close)):
        empty = ~np.isfinite(close[day])
        age = np.where(empty, age + 1, 0)
        take = empty & (age <= STALE)
        filled[day, take] = filled[day - 1, take]
    return filled


def _rolling(values: Array, days: int, reduce: Callable[[Array, int], npt.NDArray[np.floating[Any]]]) -> Array:
    """`reduce` over the last `days` rows [days, stocks], today's included; NaN before there are so many rows."""
    result = np.full(values.shape, np.nan, values.dtype)
    if len(values) >= days:
        result[days - 1 :] = reduce(values, days)
    return result


def _window_mean(values: Array, days: int) -> npt.NDArray[np.float64]:
    """Mean of the finite values of each window of `days` rows; NaN where a window has none."""
    ones, clean = _without_gaps(values)
    count = _sums(ones, days)
    return np.where(count > 0, _sums(clean, days) / count, np.nan)


def _window_std(values: Array, days: int) -> npt.NDArray[np.float64]:
    """Standard deviation of the finite values of each window of `days` rows; NaN where a window has fewer than two."""
    ones, clean = _without_gaps(values)
    count = _sums(ones, days)
    mean = _sums(clean, days) / count
    variance = np.maximum(_sums(clean**2, days) / count - mean**2, 0)
    return np.where(count > 1, np.sqrt(variance), np.nan)


def _window_max(values: Array, days: int) -> Array:
    """Largest finite value of each window of `days` rows; NaN where a window has none."""
    clean = np.where(np.isfinite(values), values, -np.inf)
    highest: Array = np.lib.stride_tricks.sliding_window_view(clean, days, axis=0).max(axis=-1)
    return np.where(np.isfinite(highest), highest, np.nan)


def _without_gaps(values: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(1 where a value is finite and 0 elsewhere, the values with 0 where they are not finite)."""
    known = np.isfinite(values)
    return known.astype(np.float64), np.where(known, values, 0).astype(np.float64)


def _sums(values: npt.NDArray[np.float64], days: int) -> npt.NDArray[np.float64]:
    """Return the sums over windows of `days` rows, each from its own rows: a running sum would carry rounding errors of
    the past."""
    sums: npt.NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(values, days, axis=0).sum(axis=-1)
    return sums
