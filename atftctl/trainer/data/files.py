"""The files of a panel: their columns and formats, and which files can be read."""

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
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}  # for csv; parquet has a compression of its own


def panel_files(path: Path) -> list[Path]:
    """Return the file itself, or the files of a folder in the order of their names.

    Raises DataError for a file of another kind, and for a folder with files of several kinds.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_file():
        if not kind_of(path):
            raise DataError(f"{path}: neither parquet nor csv, judging by its name")
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith((".", "_")))
    for file in files:
        if not kind_of(file):
            raise DataError(f"{path}: {file.name} is neither parquet nor csv; a folder holds the files of one panel")
    if not files:
        raise DataError(f"{path}: a folder without a parquet or csv file")
    if len({kind_of(file) for file in files}) > 1:
        raise DataError(f"{path}: parquet and csv files side by side; the files of one panel must be of one kind")
    return files


def kind_of(path: Path) -> str:
    """Return "parquet", "csv" or "", by the file's name in upper or lower case; a csv file may be compressed."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        return "parquet"
    return "csv" if name.endswith((".csv", *(f".csv{suffix}" for suffix in COMPRESSED))) else ""


def content_digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 over the bytes of all files: the cache key of what is prepared from them."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
