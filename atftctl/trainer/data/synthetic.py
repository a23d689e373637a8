"""A synthetic market with a planted signal, made from a seed, so that everything runs without any file.

The own return of a stock on the next day depends on today's signal: a mix of its own return today (which reverses) and
of its volume shock. `rankic` is the correlation of this signal with the own return of the next day.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atftctl.trainer.config.settings import Synthetic
from atftctl.trainer.data.panel import Panel, make_panel

SECTORS = 8
MARKET_SD, SECTOR_SD, OWN_SD = 0.004, 0.004, 0.016


def make_market(settings: Synthetic) -> Panel:
    """Return a panel of `settings.days` business days and `settings.stocks` stocks; equal settings give equal bytes."""
    return make_market_and_signal(settings)[0]


def make_market_and_signal(settings: Synthetic) -> tuple[Panel, npt.NDArray[np.float64]]:
    """Return the market, and the planted signal [days, stocks]: the best forecast of the next day's own return."""
    rng = np.random.default_rng(settings.seed)
    days, stocks = settings.days, settings.stocks
    sector = rng.integers(0, SECTORS, stocks)
    beta = rng.uniform(0.6, 1.4, stocks)
    market = rng.normal(0, MARKET_SD, days)
    sectors = rng.normal(0, SECTOR_SD, (days, SECTORS))
    noise = rng.normal(0, 1, (days, stocks))
    shock = rng.normal(0, 1, (days, stocks))  # of log volume
    strength = float(settings.rankic)
    own, planted = np.empty((days, stocks)), np.zeros((days, stocks))
    own[0] = noise[0]
    for day in range(1, days):
        signal = (shock[day - 1] - own[day - 1]) / np.sqrt(2)
        planted[day - 1] = signal
        own[day] = strength * signal + np.sqrt(1 - strength**2) * noise[day]
    returns = beta * market[:, None] + sectors[:, sector] + OWN_SD * own
    close = 1000 * np.exp(np.cumsum(returns, axis=0)) * rng.uniform(0.2, 5, stocks)
    before = np.vstack([close[:1], close[:-1]])
    gap = rng.normal(0, 0.003, (days, stocks))
    opening = before * np.exp(gap)
    spread = np.abs(rng.normal(0, 0.006, (2, days, stocks)))
    high = np.maximum(opening, close) * np.exp(spread[0])
    low = np.minimum(opening, close) * np.exp(-spread[1])
    volume = rng.lognormal(11, 1, stocks) * np.exp(0.5 * shock)
    start = np.datetime64("2015-01-01")
    dates = np.busday_offset(start, np.arange(days), roll="forward")
    grids = {"open": opening, "high": high, "low": low, "close": close, "volume": volume}
    panel = make_panel(
        tuple(str(date) for date in dates),
        tuple(f"S{number:05d}" for number in range(stocks)),
        {name: grid.astype(np.float32) for name, grid in grids.items()},
    )
    return panel, planted
