"""An OHLCV panel: read from parquet or csv, checked, or made by the synthetic market."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.cache import new_array, temporary
from atftctl.trainer.data.files import COLUMNS, PRICES, Array, DataError, content_digest, panel_files

if TYPE_CHECKING:
    from atftctl.trainer.data.rows import Rows

VERSION = 2
META = "panel.json"  # written last: without it a prepared folder does not count
SPLITS = (2, 3, 4, 5, 10, 20)
SPLIT_TOLERANCE = 0.02


@dataclass(frozen=True)
class Panel:
    """`dates` [days] as ISO strings, `tickers` [stocks], prices and volume [days, stocks], NaN where a stock did not
    trade; `extras` are further columns of the file, which become features."""

    dates: tuple[str, ...]
    tickers: tuple[str, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    digest: str  # of the content, the key of the feature cache
    extras: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was set right on the way in


def prepared_panel(path: Path, cache: Path, *, extras: Sequence[str] = (), mapped: bool = False) -> Panel:
    """The panel of a file or a folder of files, from the cache where these very bytes were read before.

    Reading needs two passes and time; what is prepared is one array a column. With `mapped` their pages are read
    when they are used, and on the way in, too, no column is ever whole in memory.
    """
    files = panel_files(path)
    key = hashlib.sha256(f"{VERSION} {content_digest(files)} {' '.join(extras)}".encode()).hexdigest()[:24]
    folder = cache / f"panel-v{VERSION}-{key}"
    try:
        return _open_prepared(folder, extras, mapped=mapped)
    except (OSError, ValueError, KeyError, EOFError):  # none yet, or one that a power cut left cut short
        shutil.rmtree(folder, ignore_errors=True)
    temp = temporary(folder)
    try:
        temp.mkdir(parents=True)
        _read_into(files, extras, temp)
    except OSError as error:
        shutil.rmtree(temp, ignore_errors=True)
        if mapped:
            raise DataError(f"{cache}: the prepared panel can't be written: {error.strerror}") from None
        return read_panel(path, extras=extras)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise
    try:
        temp.replace(folder)
    except OSError:  # another process was quicker, with the same bytes
        shutil.rmtree(temp, ignore_errors=True)
    return _open_prepared(folder, extras, mapped=mapped)


def read_panel(path: Path, *, extras: Sequence[str] = ()) -> Panel:
    """Without a cache. Raises DataError for what is no panel: missing columns, duplicate rows, prices that are not
    positive."""
    files = panel_files(path)
    names = (*COLUMNS, *extras)
    days, tickers = _axes(files)
    grids = {name: np.full((len(days), len(tickers)), np.nan, np.float32) for name in names}
    notes = _fill(files, days, tickers, grids)
    return make_panel(_iso(days), tickers, grids, notes=notes)


def make_panel(
    dates: tuple[str, ...], tickers: tuple[str, ...], grids: Mapping[str, Array], *, notes: tuple[str, ...] = ()
) -> Panel:
    columns = {name: grids[name] for name in COLUMNS}
    extras = {name: grid for name, grid in grids.items() if name not in columns}
    return Panel(dates, tickers, digest=_digest(dates, tickers, grids), extras=extras, notes=notes, **columns)


def _digest(dates: tuple[str, ...], tickers: tuple[str, ...], grids: Mapping[str, Array]) -> str:
    digest = hashlib.sha256("\n".join((*dates, *tickers)).encode())
    for name, grid in grids.items():
        digest.update(name.encode() if name not in COLUMNS else b"")
        for first in range(0, len(grid), 256):
            digest.update(np.ascontiguousarray(grid[first : first + 256]))
    return digest.hexdigest()


def _read_into(files: Sequence[Path], extras: Sequence[str], folder: Path) -> None:
    days, tickers = _axes(files)
    grids = {name: new_array(folder / f"{name}.npy", (len(days), len(tickers))) for name in (*COLUMNS, *extras)}
    for grid in grids.values():
        for first in range(0, len(grid), 256):
            grid[first : first + 256] = np.nan
    notes = _fill(files, days, tickers, grids)
    for grid in grids.values():
        grid.flush()
    dates = _iso(days)
    meta = {"dates": dates, "tickers": tickers, "digest": _digest(dates, tickers, grids), "notes": notes}
    with (folder / META).open("w", encoding="utf-8") as file:
        json.dump(meta, file)
        file.flush()
        os.fsync(file.fileno())


def _open_prepared(folder: Path, extras: Sequence[str], *, mapped: bool) -> Panel:
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    mode = "r" if mapped else None
    return Panel(
        tuple(meta["dates"]),
        tuple(meta["tickers"]),
        digest=meta["digest"],
        notes=tuple(meta["notes"]),
        extras={name: np.load(folder / f"{name}.npy", mmap_mode=mode) for name in extras},
        **{name: np.load(folder / f"{name}.npy", mmap_mode=mode) for name in COLUMNS},
    )


def _axes(files: Sequence[Path]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """All days and all tickers of the files, sorted."""
    from atftctl.trainer.data.rows import read_rows

    days: set[int] = set()
    tickers: set[str] = set()
    for rows in read_rows(files, ()):
        days.update(np.unique(rows.days).tolist())
        tickers.update(rows.names)
    if not days:
        raise DataError(f"{files[0]}: no rows")
    return np.array(sorted(days)), tuple(sorted(tickers))


def _fill(
    files: Sequence[Path], days: npt.NDArray[np.int64], tickers: tuple[str, ...], grids: Mapping[str, Array]
) -> tuple[str, ...]:
    """The rows into their cells; what was set right, in words."""
    from atftctl.trainer.data.rows import read_rows

    column = {ticker: at for at, ticker in enumerate(tickers)}
    seen = np.zeros((len(days), len(tickers)), bool)
    halted = empty = 0
    for rows in read_rows(files, tuple(grids)):
        day = np.searchsorted(days, rows.days)
        stock = np.array([column[name] for name in rows.names], np.int64)[rows.tickers]
        _check_duplicates(rows, day, stock, seen)
        for name in COLUMNS:
            _check_range(rows, name)
        without_price = np.any([np.isnan(rows.values[name]) for name in PRICES], axis=0)
        without_trade = ~without_price & ~(np.nan_to_num(rows.values["volume"]) > 0)
        empty += int(without_price.sum())
        halted += int(without_trade.sum())
        traded = ~(without_price | without_trade)
        for name, grid in grids.items():
            grid[day[traded], stock[traded]] = rows.values[name][traded]
    notes = [f"{empty} rows without a price count as days without trade"] if empty else []
    notes += [f"{halted} rows without volume count as days without trade"] if halted else []
    return (*notes, *_undo_splits(days, tickers, grids))


def _check_duplicates(
    rows: Rows, day: npt.NDArray[np.int64], stock: npt.NDArray[np.int64], seen: npt.NDArray[np.bool_]
) -> None:
    cell = day * seen.shape[1] + stock
    order = np.argsort(cell, kind="stable")
    again = seen.ravel()[cell]
    again[order[1:]] |= cell[order[1:]] == cell[order[:-1]]
    if again.any():
        row = int(np.flatnonzero(again)[0])
        date = np.datetime64(int(rows.days[row]), "D")
        raise rows.fail(row, f"{rows.names[rows.tickers[row]]} stands twice on {date}")
    seen.ravel()[cell] = True


def _check_range(rows: Rows, name: str) -> None:
    values = rows.values[name]
    with np.errstate(invalid="ignore"):
        wrong = np.isinf(values) | ((values <= 0) if name != "volume" else (values < 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise rows.fail(row, f"{name} is {values[row]:g}")


def _undo_splits(days: npt.NDArray[np.int64], tickers: tuple[str, ...], grids: Mapping[str, Array]) -> tuple[str, ...]:
    """A stock that opens at 1/n (or n times) of its last close while its volume answers was split, not sold off.

    The days from then on are brought to the scale of before, and not the other way round: so that nothing that was
    known on a day changes with what comes later. A panel that is adjusted already is left alone.
    """
    last = np.full(len(tickers), np.nan, np.float32)
    usual = np.full(len(tickers), np.nan, np.float32)  # slow mean of the volume
    scale = np.ones(len(tickers), np.float32)
    found: list[str] = []
    for number in range(len(days)):
        opening, volume = np.asarray(grids["open"][number]), np.asarray(grids["volume"][number])
        with np.errstate(all="ignore"):
            jump = last / opening  # 2 for a split in two
        for at in np.flatnonzero(np.abs(np.log(np.where(np.isfinite(jump), jump, 1))) > 0.6):
            ratio = _split_ratio(float(jump[at]))
            if ratio and np.isfinite(usual[at]) and abs(np.log(volume[at] / usual[at] / ratio)) < np.log(2):
                scale[at] *= ratio
                usual[at] *= ratio
                found.append(f"{tickers[at]} on {np.datetime64(int(days[number]), 'D')}")
        traded = np.isfinite(opening)
        last = np.where(traded, grids["close"][number], last)
        usual = np.where(traded, np.where(np.isfinite(usual), 0.9 * usual + 0.1 * volume, volume), usual)
        if (scale != 1).any():
            for name in PRICES:
                grids[name][number] *= scale
            grids["volume"][number] /= scale
    if not found:
        return ()
    return (f"{len(found)} splits undone, the first of {found[0]}",)


def _split_ratio(jump: float) -> float:
    """n for a split in n, 1/n for a merger of n into one, 0 for neither."""
    for n in SPLITS:
        for ratio in (float(n), 1.0 / n):
            if abs(jump / ratio - 1) < SPLIT_TOLERANCE:
                return ratio
    return 0.0


def _iso(days: npt.NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(str(one) for one in days.astype("datetime64[D]"))
