"""A small synthetic market, and the same market as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from atftctl.trainer.config.settings import Synthetic
from atftctl.trainer.data.synthetic import make_market

MARKET = make_market(Synthetic(seed=3, stocks=8, days=130))


def rows() -> pd.DataFrame:
    """The market as a table, one row for each stock and day."""
    return pd.DataFrame(
        {
            "date": np.repeat(MARKET.dates, len(MARKET.tickers)),
            "ticker": np.tile(MARKET.tickers, len(MARKET.dates)),
            **{name: getattr(MARKET, name).ravel() for name in ("open", "high", "low", "close", "volume")},
        }
    )
