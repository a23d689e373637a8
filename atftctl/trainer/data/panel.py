"""The panel of prices and volumes (OHLCV): read from parquet or csv files, checked, and cached."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.cache import new_array, temporary
from atftctl.trainer.data.files import COLUMNS, PRICES, Array, content_digest, panel_files
from atftctl.trainer.data.splits import undo_splits
from atftctl.trainer.errors import DataError

if TYPE_CHECKING:
    from atftctl.trainer.data.rows import Rows

VERSION = 3
META = "panel.json"  # written last: without it a prepared folder is incomplete


@dataclass(frozen=True)
class Panel:
    """Prices and volume [days, stocks], NaN where a stock did not trade.

    `dates` [days] are ISO strings, `tickers` [stocks] are sorted; `extras` are further columns of the files, which
    become features.
    """

    dates: tuple[str, ...]
    tickers: tuple[str, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    digest: str  # of the content; the key of the feature cache
    extras: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was corrected while reading
    warnings: tuple[str, ...] = ()  # what may have to be corrected by hand


def prepared_panel(
    path: Path, cache: Path, *, extras: Sequence[str] = (), mapped: bool = False, folder: Path | None = None
) -> Panel:
    """Return the panel of a file or a folder of files, from the cache if the same bytes were read before.

    The cache holds one array for each column. With `mapped` their pages are read when they are used, and no column is
    ever whole in memory, not even while the files are read. `folder`: the result of `prepared_folder`, if the caller
    already has it, because that function reads every byte of the files. Raises DataError.
    """
    files = panel_files(path)
    folder = folder or prepared_folder(path, cache, extras)
    try:
        return _open_prepared(folder, extras, mapped=mapped)
    except (OSError, ValueError, KeyError, EOFError):  # none yet, or incomplete after a power cut
        shutil.rmtree(folder, ignore_errors=True)
    temp = temporary(folder)
    try:
        temp.mkdir(parents=True)
        _read_into(files, extras, temp)
    except OSError as error:
        shutil.rmtree(temp, ignore_errors=True)
        if mapped:
            raise DataError(f"{cache}: the prepared panel cannot be written: {error.strerror}") from None
        return read_panel(path, extras=extras)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise
    try:
        temp.replace(folder)
    except OSError:  # another process was faster; its content is the same
        shutil.rmtree(temp, ignore_errors=True)
    return _open_prepared(folder, extras, mapped=mapped)


def prepared_folder(path: Path, cache: Path, extras: Sequence[str]) -> Path:
    """Return the folder of the cache for exactly these bytes and extra columns. Raises DataError."""
    key = f"{VERSION} {content_digest(panel_files(path))} {' '.join(extras)}"
    return cache / f"panel-v{VERSION}-{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def _file_of(folder: Path, column: str) -> Path:
    """Return the file of a column; its name is quoted, since a column may be called `P/E`."""
    return folder / f"{quote(column, safe='')}.npy"


def read_panel(path: Path, *, extras: Sequence[str] = ()) -> Panel:
    """Read the panel without a cache.

    Raises DataError for files that are no panel, for example with missing columns, duplicate rows or prices that are
    not positive.
    """
    files = panel_files(path)
    names = (*COLUMNS, *extras)
    days, tickers = _axes(files)
    shape = (len(days), len(tickers))
    grids: dict[str, Array] = {name: np.full(shape, np.nan, np.float32) for name in names}
    notes, warnings = _fill(files, days, tickers, grids)
    return make_panel(_iso(days), tickers, grids, notes=notes, warnings=warnings)


def make_panel(
    dates: tuple[str, ...],
    tickers: tuple[str, ...],
    grids: Mapping[str, Array],
    *,
    notes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Panel:
    """Return the panel of these arrays [days, stocks] by column name; columns beyond OHLCV become extras."""
    columns = {name: grids[name] for name in COLUMNS}
    extras = {name: grid for name, grid in grids.items() if name not in columns}
    digest = _digest(dates, tickers, grids)
    return Panel(dates, tickers, digest=digest, extras=extras, notes=notes, warnings=warnings, **columns)


def _digest(dates: tuple[str, ...], tickers: tuple[str, ...], grids: Mapping[str, Array]) -> str:
    digest = hashlib.sha256("\n".join((*dates, *tickers)).encode())
    for name, grid in grids.items():
        digest.update(name.encode() if name not in COLUMNS else b"")
        for first in range(0, len(grid), 256):
            digest.update(np.ascontiguousarray(grid[first : first + 256]).data)
    return digest.hexdigest()


def _read_into(files: Sequence[Path], extras: Sequence[str], folder: Path) -> None:
    days, tickers = _axes(files)
    shape = (len(days), len(tickers))
    grids = {name: new_array(_file_of(folder, name), shape) for name in (*COLUMNS, *extras)}
    for grid in grids.values():
        for first in range(0, len(grid), 256):
            grid[first : first + 256] = np.nan
    notes, warnings = _fill(files, days, tickers, grids)
    for grid in grids.values():
        grid.flush()
    dates = _iso(days)
    digest = _digest(dates, tickers, grids)
    meta = {"dates": dates, "tickers": tickers, "digest": digest, "notes": notes, "warnings": warnings}
    with (folder / META).open("w", encoding="utf-8") as file:
        json.dump(meta, file)
        file.flush()
        os.fsync(file.fileno())


def open_prepared(folder: Path, extras: Sequence[str], *, mapped: bool) -> Panel | None:
    """Return the panel of this folder of a cache; None where there is none, or an incomplete one."""
    try:
        return _open_prepared(folder, extras, mapped=mapped)
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _open_prepared(folder: Path, extras: Sequence[str], *, mapped: bool) -> Panel:
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    mode: Literal["r"] | None = "r" if mapped else None
    return Panel(
        tuple(meta["dates"]),
        tuple(meta["tickers"]),
        digest=meta["digest"],
        notes=tuple(meta["notes"]),
        warnings=tuple(meta["warnings"]),
        extras={name: np.load(_file_of(folder, name), mmap_mode=mode) for name in extras},
        **{name: np.load(_file_of(folder, name), mmap_mode=mode) for name in COLUMNS},
    )


def _axes(files: Sequence[Path]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return all days (as days since 1970) and all tickers of the files, sorted."""
    from atftctl.trainer.data.rows import read_rows

    days: set[int] = set()
    tickers: set[str] = set()
    for rows in read_rows(files, ()):
        days.update(np.unique(rows.days).tolist())
        tickers.update(rows.names)
    if not days:
        raise DataError(f"{files[0]}: no rows")
    _refuse_two_spellings(files, tickers)
    return np.array(sorted(days)), tuple(sorted(tickers))


def _refuse_two_spellings(files: Sequence[Path], tickers: Collection[str]) -> None:
    """Raise DataError if one stock is 0086 in one file and 86 in another: it would be taken for two stocks."""
    written: dict[int, str] = {}
    for ticker in sorted(tickers):
        if ticker.isascii() and ticker.isdigit():
            other = written.setdefault(int(ticker), ticker)
            if other != ticker:
                raise DataError(
                    f"{files[0].parent}: the tickers {other} and {ticker} are one number; write both in the same way"
                )


def _fill(
    files: Sequence[Path], days: npt.NDArray[np.int64], tickers: tuple[str, ...], grids: Mapping[str, Array]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fill the grids [days, stocks] from the rows; return (notes, warnings) on what was corrected or may have to be."""
    from atftctl.trainer.data.rows import read_rows

    column = {ticker: at for at, ticker in enumerate(tickers)}
    seen: npt.NDArray[np.bool_] = np.zeros((len(days), len(tickers)), bool)
    halted = empty = rows_seen = 0
    for rows in read_rows(files, tuple(grids)):
        day = np.searchsorted(days, rows.days)
        stock = np.array([column[name] for name in rows.names], np.int64)[rows.tickers]
        _check_duplicates(rows, day, stock, seen)
        rows_seen += len(rows.days)
        for name in COLUMNS:
            _check_range(rows, name)
        without_price = np.any([np.isnan(rows.values[name]) for name in PRICES], axis=0)
        without_trade = ~without_price & ~(np.nan_to_num(rows.values["volume"]) > 0)
        empty += int(without_price.sum())
        halted += int(without_trade.sum())
        traded = ~(without_price | without_trade)
        for name, grid in grids.items():
            grid[day[traded], stock[traded]] = rows.values[name][traded]
    if halted and halted + empty == rows_seen:
        raise DataError(f"{files[0]}: no row has a volume, so no stock counts as traded")
    notes = [f"{empty} rows without a price count as days without trade"] if empty else []
    notes += [f"{halted} rows without volume count as days without trade"] if halted else []
    undone, warnings = undo_splits(days, tickers, grids)
    return (*notes, *undone), warnings


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
        raise rows.error_at(row, f"{rows.names[rows.tickers[row]]} has two rows on {date}")
    seen.ravel()[cell] = True


def _check_range(rows: Rows, name: str) -> None:
    values = rows.values[name]
    with np.errstate(invalid="ignore"):
        wrong = np.isinf(values) | ((values <= 0) if name != "volume" else (values < 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise rows.error_at(row, f"{name} is {values[row]:g}")


def _iso(days: npt.NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(str(day) for day in days.astype("datetime64[D]"))
