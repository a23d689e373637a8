"""A cache of arrays, in files that are named by the content from which the arrays were made."""

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
KEPT_S = 30 * 86400.0  # after the last use
KEPT_BYTES = 20 << 30


def cached(
    path: Path, shape: tuple[int, ...], fill: Callable[[Array], None], *, mapped: bool, prepared: Path | None = None
) -> Array:
    """Return the array [shape] of this file, or of the file of that name in the folder `prepared`, which is only read.

    If there is none yet, `fill` makes it in a temporary file, which is then renamed. With `mapped` the pages are read
    when they are used. If the file cannot be written, the array is made in memory; with `mapped`, where it may not fit
    into memory, DataError is raised instead.
    """
    for folder in (path.parent, prepared) if prepared else (path.parent,):
        if (array := _load(folder / path.name, shape, mapped=mapped)) is not None:
            return array
    temp = temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mapped_array = new_array(temp, shape)
        fill(mapped_array)
        mapped_array.flush()
        del mapped_array
        temp.replace(path)
    except OSError as error:
        temp.unlink(missing_ok=True)
        if mapped:
            raise DataError(f"{path} cannot be written: {error.strerror}") from None
        whole = np.empty(shape, np.float32)
        fill(whole)
        return whole
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    written = _load(path, shape, mapped=mapped)
    if written is None:
        raise DataError(f"{path} was written but cannot be read back")
    return written


def _load(path: Path, shape: tuple[int, ...], *, mapped: bool) -> Array | None:
    """Return the array; None, so that it is made again, if the file is missing or incomplete after a power cut."""
    try:
        array: Array = np.load(path, mmap_mode="r" if mapped else None)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape else None


def temporary(path: Path) -> Path:
    """Return a hidden path next to this one that no other process uses; `sweep` recognises it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}.tmp")


def sweep(folder: Path) -> None:
    """Delete the temporary files of processes that are gone; those of a panel can be gigabytes.

    Files that were changed within the last hour are kept: they may belong to another container, whose processes are not
    visible here.
    """
    for path in folder.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        gone = pid.isdigit() and not Path(f"/proc/{pid}").exists()
        if gone and time.time() - path.stat().st_mtime > UNTOUCHED_S:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def retain(folder: Path, used: Collection[Path], *, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> None:
    """Delete entries that were not used for `kept_s` seconds, and the oldest ones beyond `kept_bytes` bytes.

    The entries in `used` are never deleted. A deleted entry is made again when it is needed.
    """
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
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def new_array(path: Path, shape: tuple[int, ...]) -> MappedArray:
    """Create a mapped array [shape] whose disk space is reserved.

    A write to a mapped file on a full disk would kill the process with SIGBUS. Raises OSError.
    """
    array: MappedArray = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
