"""Arrays made once and kept by the content that they were made from."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import numpy as np

from atftctl.trainer.data.files import Array, MappedArray
from atftctl.trainer.errors import DataError

UNTOUCHED_S = 3600.0
KEPT_S = 30 * 86400.0  # since its last use
KEPT_BYTES = 20 << 30


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


def retain(folder: Path, used: Collection[Path], *, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> None:
    """Take away what has not been used for a month, and the oldest of what is more than 20 GiB; never what is in use
    here. It is made again when it is wanted."""
    now = time.time()
    for path in used:
        with suppress(OSError):
            os.utime(path)
    entries = []
    for path in folder.glob("[!.]*"):
        with suppress(OSError):
            entries.append((path.stat().st_mtime, _size(path), path))
    room = kept_bytes
    for last_use, size, path in sorted(entries, reverse=True):
        room -= size
        if path not in used and (room < 0 or now - last_use > kept_s):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.iterdir()) if path.is_dir() else path.stat().st_size


def new_array(path: Path, shape: tuple[int, ...]) -> MappedArray:
    """A mapped array with room on the disk for all of it: a mapped write into a full disk is a bus error, not an
    exception."""
    made: MappedArray = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made
