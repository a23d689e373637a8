"""Reads the rows of a panel's files in batches, so that a panel never has to fit into memory.

Import this module only when a panel is read. Arrow's own allocator reserves a gigabyte of address space, which counts
against a memory limit; Arrow is therefore told to use the system's allocator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from csv import reader as csv_lines
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atftctl.trainer.data.dates import Dates
from atftctl.trainer.data.files import COMPRESSED, KEYS, kind_of
from atftctl.trainer.errors import DataError

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import pyarrow as pa
import pyarrow.compute as pc

BATCH_ROWS = 1 << 18
HEADER = 1 << 20  # bytes; a longer first line is no header
MISSING_VALUES = pa.array(["NaN", "nan", "NA", "null", "NULL"])  # what tools write for a missing number


@dataclass(frozen=True)
class Rows:
    """One batch of rows: `days` since 1970, `tickers` as positions in `names`, `values` [rows] by column."""

    path: Path
    first: int  # number of the first row of the batch; the first row of the file has number 1
    days: npt.NDArray[np.int64]
    tickers: npt.NDArray[np.int64]
    names: tuple[str, ...]
    values: dict[str, npt.NDArray[np.float64]]

    def error_at(self, row: int, text: str) -> DataError:
        """Return an error that names the file and the row; `row` counts from 0 within the batch."""
        return DataError(f"{self.path}: row {self.first + row}: {text}")


def read_rows(files: Sequence[Path], columns: Sequence[str]) -> Iterator[Rows]:
    """Yield batches of date, ticker and these columns. Raises DataError, which names file, row and column."""
    for path in files:
        first = 1
        dates = Dates()
        for batch in _batches(path, (*KEYS, *columns)):
            codes = _tickers(batch, path, first)
            yield Rows(
                path,
                first,
                _days(batch, path, first, dates),
                codes.indices.to_numpy(zero_copy_only=False).astype(np.int64),
                tuple(codes.dictionary.to_pylist()),
                {name: _numbers(batch.column(name), path, first, name) for name in columns},
            )
            first += batch.num_rows


def _batches(path: Path, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    try:
        yield from _parquet(path, columns) if kind_of(path) == "parquet" else _csv(path, columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: can't be read as {kind_of(path)}: {' '.join(str(error).split())[:300]}") from None


def _parquet(path: Path, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        _check_columns(path, columns, file.schema_arrow.names)
        yield from file.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False)


def _csv(path: Path, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Read every column as text, so that a bad number is reported with its row, and 0123 stays a ticker."""
    from pyarrow import csv

    with _opened(path) as file:
        header = file.read(HEADER).splitlines()[:1] or [b""]
    line = header[0].decode("utf-8-sig", "replace")
    if line.count('"') % 2:
        raise DataError(f"{path}: a column name in the header contains a line break")
    names = [name.strip() for name in next(csv_lines([line]), [])]
    _check_columns(path, columns, names)
    options = csv.ConvertOptions(
        column_types={name: pa.string() for name in columns},
        include_columns=list(columns),
        strings_can_be_null=True,
        null_values=[""],  # NA is a ticker, too
    )
    blocks = csv.ReadOptions(block_size=16 << 20, use_threads=False, column_names=names, skip_rows=1)
    with _opened(path) as file, csv.open_csv(file, read_options=blocks, convert_options=options) as reader:
        yield from reader


def _opened(path: Path) -> pa.NativeFile:
    """Open a csv file, compressed or not."""
    return pa.input_stream(str(path), compression=COMPRESSED.get(path.suffix.lower()))


def _check_columns(path: Path, wanted: tuple[str, ...], present: Sequence[str]) -> None:
    twice = [name for name in wanted if list(present).count(name) > 1]
    if twice:
        raise DataError(f"{path}: column {', '.join(twice)} appears twice")
    missing = [name for name in wanted if name not in present]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} missing; the columns are {', '.join(map(str, present))}")


def _tickers(batch: pa.RecordBatch, path: Path, first: int) -> Any:
    column = _without_fraction(batch.column("ticker"))
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_dictionary(column.type):
        column = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
        column = pc.replace_substring_regex(column, r"^(\d+)\.0$", r"\1")  # a whole number that was stored as a float
        column = pc.if_else(pc.equal(column, ""), None, column)
    if column.null_count:
        raise DataError(f"{path}: row {first + _first_true(pc.is_null(column))}: ticker is empty")
    return pc.dictionary_encode(pc.cast(column, pa.string()))


def _days(batch: pa.RecordBatch, path: Path, first: int, dates: Dates) -> npt.NDArray[np.int64]:
    column = batch.column("date")
    if column.null_count:
        raise DataError(f"{path}: row {first + _first_true(pc.is_null(column))}: date is empty")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = _without_fraction(column)
    if pa.types.is_integer(column.type):  # 20200131; a number is never a count of days since 1970
        column = pc.cast(column, pa.string())
    if pa.types.is_timestamp(column.type) and column.type.tz:
        column = _local(column, path)
    try:
        if pa.types.is_floating(column.type):
            raise pa.ArrowInvalid("a number with a fraction is no date")
        days = pc.cast(column, pa.date32(), safe=False)
    except pa.ArrowException:
        days = _other_dates(column, path, first, dates)
    numbers: npt.NDArray[np.int64] = days.cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def _local(column: pa.Array, path: Path) -> pa.Array:
    """Return the local time of the column's time zone, not UTC."""
    try:
        return pc.local_timestamp(column)
    except pa.ArrowException:
        zone = column.type.tz
        raise DataError(
            f"{path}: column date: the time zone {zone} is not known on this machine (is tzdata installed?)"
        ) from None


def _without_fraction(column: pa.Array) -> pa.Array:
    """Return whole numbers that were stored as floats (because of gaps in the column) as integers."""
    if not pa.types.is_floating(column.type):
        return column
    try:
        return pc.cast(column, pa.int64())
    except pa.ArrowException:
        return column


def _other_dates(column: pa.Array, path: Path, first: int, dates: Dates) -> pa.Array:
    """Read dates in other formats than 2020-01-31. Raises DataError, which names the row."""
    encoded = pc.dictionary_encode(pc.cast(column, pa.string()))
    texts = encoded.dictionary.to_pylist()
    parsed = dates.read(texts)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if parsed.wrong is not None:
        row = int(np.flatnonzero(codes == parsed.wrong)[0])
        raise DataError(f"{path}: row {first + row}: column date: {texts[parsed.wrong]!r} {parsed.reason}")
    return pa.array(parsed.days[codes])


def _numbers(column: pa.Array, path: Path, first: int, name: str) -> npt.NDArray[np.float64]:
    """Return float64 with NaN for what is empty. Raises DataError, which names the row."""
    if pa.types.is_string(column.type):
        column = pc.if_else(pc.is_in(column, MISSING_VALUES), None, column)
    try:
        cast = pc.cast(column, pa.float64(), safe=False)
    except pa.ArrowException:
        row = _first_not_numeric(column)
        raise DataError(f"{path}: row {first + row}: column {name} is not numeric: {column[row].as_py()!r}") from None
    numbers: npt.NDArray[np.float64] = pc.fill_null(cast, np.nan).to_numpy(zero_copy_only=False)
    return numbers


def _first_not_numeric(column: pa.Array) -> int:
    """Return the first row that Arrow cannot cast, by bisection.

    Arrow is asked because Python's float() accepts full-width digits and 1_000, which Arrow does not.
    """
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pc.cast(column.slice(low, middle - low), pa.float64(), safe=False)
            low = middle
        except pa.ArrowException:
            high = middle
    return low


def _first_true(mask: pa.Array) -> int:
    return int(np.flatnonzero(mask.to_numpy(zero_copy_only=False))[0])
