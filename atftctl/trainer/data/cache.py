"""Arrays made once and kept by the content that they were made from."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atftctl.trainer.data.files import Array, DataError

UNTOUCHED_S = 3600.0


def cached(path: Path, shape: tuple[int, ...], fill: Callable[[Array], None], *, mapped: bool) -> Array:
    """The array of this file; made by `fill` where there is none yet, beside it and then renamed.

    With `mapped` its pages are read when they are used. Where the file can't be written the array is made in
    memory, unless `mapped` says that it may not fit: then DataError.
    """
    if (found := _load(path, shape, mapped=mapped)) is not None:
        return found
    temp = temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = new_array(temp, shape)
        fill(made)
        made.flush()
        del made
        temp.replace(path)
    except OSError as error:
        temp.unlink(missing_ok=True)
        if mapped:
            raise DataError(f"{path}: can't be written: {error.strerror}") from None
        whole = np.empty(shape, np.float32)
        fill(whole)
        return whole
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    made_now = _load(path, shape, mapped=mapped)
    if made_now is None:
        raise DataError(f"{path}: can't be read back")
    return made_now


def _load(path: Path, shape: tuple[int, ...], *, mapped: bool) -> Array | None:
    """None where there is none, or one that a power cut left cut short: a cache is made again, not mended."""
    try:
        found: Array = np.load(path, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape else None


def temporary(path: Path) -> Path:
    """A name beside it that no other process uses, wherever that one runs; `sweep` knows it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}.tmp")


def sweep(folder: Path) -> None:
    """Take away what a process that is gone left half-made: a panel's can be gigabytes. One that was touched within
    the hour may belong to another container, whose processes are not seen here."""
    for left in folder.glob(".*.tmp"):
        pid = left.name.split(".")[-2]
        gone = pid.isdigit() and not Path(f"/proc/{pid}").exists()
        if gone and time.time() - left.stat().st_mtime > UNTOUCHED_S:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def new_array(path: Path, shape: tuple[int, ...]) -> Array:
    """A mapped array with room on the disk for all of it: a mapped write into a full disk is a bus error, not an
    exception."""
    made = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made
