"""Arrays made once and kept by the content that they were made from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atftctl.trainer.data.files import Array, DataError


def cached(path: Path, shape: tuple[int, ...], fill: Callable[[Array], None], *, mapped: bool) -> Array:
    """The array of this file; made by `fill` where there is none yet, beside it and then renamed.

    With `mapped` its pages are read when they are used. Where the file can't be written the array is made in
    memory, unless `mapped` says that it may not fit: then DataError.
    """
    if not path.exists():
        temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
    found: Array = np.load(path, mmap_mode="r" if mapped else None)
    return found


def sweep(folder: Path) -> None:
    """Take away what a process that is gone left half-made: a panel's can be gigabytes."""
    for left in folder.glob(".*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def new_array(path: Path, shape: tuple[int, ...]) -> Array:
    """A mapped array with room on the disk for all of it: a mapped write into a full disk is a bus error, not an
    exception."""
    made = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made
