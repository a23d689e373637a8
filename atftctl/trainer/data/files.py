"""What a panel is stored in: its columns, its files, and what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atftctl.trainer.errors import DataError

Array = npt.NDArray[np.float32]
MappedArray = np.memmap[tuple[int, ...], np.dtype[np.float32]]  # read from a file page by page
KEYS = ("date", "ticker")
PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}  # of csv; parquet compresses by itself


def panel_files(path: Path) -> list[Path]:
    """The file itself, or a folder's files in the order of their names. Raises DataError for a folder of several
    kinds."""
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_file():
        if not kind_of(path):
            raise DataError(f"{path}: neither parquet nor csv, by its name")
        return [path]
    files = sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith((".", "_")))
    for one in files:
        if not kind_of(one):
            raise DataError(f"{path}: {one.name} is neither parquet nor csv; a folder holds the files of one panel")
    if not files:
        raise DataError(f"{path}: a folder without a parquet or csv file")
    if len({kind_of(one) for one in files}) > 1:
        raise DataError(f"{path}: parquet and csv files side by side; the files of one panel are of one kind")
    return files


def kind_of(path: Path) -> str:
    """ "parquet", "csv" or "", by the name in whatever case; a csv may be compressed."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        return "parquet"
    return "csv" if name.endswith((".csv", *(f".csv{suffix}" for suffix in COMPRESSED))) else ""


def content_digest(files: Sequence[Path]) -> str:
    """SHA-256 over the bytes of all files: the key of what is prepared from them."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
