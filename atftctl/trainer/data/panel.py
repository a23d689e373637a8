"""An OHLCV panel: read from parquet or csv, checked, or made by the synthetic market."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
VERSION = 1
COLUMNS = ("open", "high", "low", "close", "volume")


class DataError(Exception):
    """A panel that can't be trained on; the message names file, row and column."""


@dataclass(frozen=True)
class Panel:
    """`dates` [days] as ISO strings, `tickers` [stocks], prices and volume [days, stocks], NaN where there is no
    row."""

    dates: tuple[str, ...]
    tickers: tuple[str, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    digest: str  # of the content, the key of the feature cache


def prepared_panel(path: Path, cache: Path) -> Panel:
    """The panel of a file, from the cache where this very file was read before: parsing it needs far more memory
    and time."""
    if not path.is_file():
        return read_panel(path)  # which says what is wrong with it
    with path.open("rb") as file:
        prepared = cache / f"panel-v{VERSION}-{hashlib.file_digest(file, 'sha256').hexdigest()[:24]}.npz"
    if prepared.exists():
        with np.load(prepared) as saved:
            return Panel(
                tuple(str(one) for one in saved["dates"]),
                tuple(str(one) for one in saved["tickers"]),
                digest=str(saved["digest"]),
                **{name: saved[name] for name in COLUMNS},
            )
    panel = read_panel(path)
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        temp = prepared.with_name(f"{prepared.name}.{os.getpid()}.tmp.npz")
        arrays = {name: getattr(panel, name) for name in COLUMNS}
        np.savez(
            temp,
            dates=np.array(panel.dates),
            tickers=np.array(panel.tickers),
            digest=np.array(panel.digest),
            **arrays,
        )
        temp.replace(prepared)
    return panel


def read_panel(path: Path) -> Panel:
    """Raises DataError for a file that is no panel: missing columns, duplicate rows, prices that are not positive."""
    import pandas as pd

    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: a folder; one parquet or csv file was expected")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: can't be read as {path.suffix or 'csv'}: {error}") from None
    missing = [name for name in ("date", "ticker", *COLUMNS) if name not in frame.columns]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} missing; there are {', '.join(map(str, frame.columns))}")
    frame = frame.assign(date=_dates(frame["date"], path), ticker=frame["ticker"].astype(str))
    twice = frame.duplicated(["date", "ticker"])
    if twice.any():
        row = int(np.flatnonzero(twice.to_numpy())[0])
        raise DataError(
            f"{path}: row {row + 1}: {frame['ticker'].iloc[row]} stands twice on {frame['date'].iloc[row]:%Y-%m-%d}"
        )
    for name in COLUMNS:
        _check_range(_numbers(frame[name], path, name), path, name)
    days, day = np.unique(frame["date"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    tickers, stock = np.unique(frame["ticker"].to_numpy().astype(str), return_inverse=True)
    grids = {}
    for name in COLUMNS:
        grid = np.full((len(days), len(tickers)), np.nan, np.float32)
        grid[day, stock] = frame[name].to_numpy(np.float32)
        grids[name] = grid
    return make_panel(tuple(str(one) for one in days), tuple(str(one) for one in tickers), grids)


def _dates(column: object, path: Path) -> object:
    import pandas as pd

    try:
        return pd.to_datetime(column)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: column date: {error}") from None


def _check_range(values: npt.NDArray[np.float64], path: Path, name: str) -> None:
    wrong = (values <= 0) if name != "volume" else (values < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{path}: row {row + 1}: {name} is {values[row]:g}")


def _numbers(column: object, path: Path, name: str) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(column, np.float64)
    except (ValueError, TypeError):
        raise DataError(f"{path}: column {name} is not numeric") from None


def make_panel(dates: tuple[str, ...], tickers: tuple[str, ...], grids: dict[str, Array]) -> Panel:
    digest = hashlib.sha256("\n".join((*dates, *tickers)).encode())
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(grids[name]))
    return Panel(dates, tickers, digest=digest.hexdigest(), **grids)
