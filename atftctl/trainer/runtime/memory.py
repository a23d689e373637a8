"""Memory: recognise that it ran out, keep a reserve so that this can be reported, and measure what is in use."""

from __future__ import annotations

import ctypes
import resource
import threading
from pathlib import Path

import torch

SIGNS = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad_alloc",
    "bad allocation",
    "could not create a memory",
)
LARGE_STOCKS = 2000
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
AMBIGUOUS_SIGNS = (
    "could not create a primitive",
    "could not execute a primitive",
)  # oneDNN says this when memory ran out, and in other cases


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether this error says that memory ran out.

    Torch raises an error of its own for CUDA, and a plain RuntimeError on the CPU.
    """
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    return any(sign in text for sign in SIGNS) or (
        any(sign in text for sign in AMBIGUOUS_SIGNS) and is_near_memory_limit()
    )


def is_near_memory_limit() -> bool:
    """Return whether there is a limit (RLIMIT_DATA) and more than 80 % of it is in use."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return False
    for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024 > 0.8 * limit
    return False


def tune_allocator() -> None:
    """Give each large tensor a memory mapping of its own, so that freeing the tensor returns its memory.

    For a run under a memory limit, or with large tensors. By default glibc raises its mmap threshold up to 32 MiB
    while the program runs; tensors then come from the heap, and the holes in the heap still count against RLIMIT_DATA.
    Measured with 500 stocks and a hidden size of 64: with this setting the recovery in 2 pieces works at 460 MB;
    without it, even 64 pieces failed at 500 MB. A step takes up to a third longer.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 20)
        libc.mallopt(M_ARENA_MAX, 1)
    except (OSError, AttributeError):
        return  # another libc, which has no such setting


def tune_allocator_if_large(stocks: int) -> None:
    """Tune the allocator from 2,000 stocks on: a step's tensors are then so large that holes in the heap matter."""
    if stocks >= LARGE_STOCKS:
        tune_allocator()


def has_memory_limit() -> bool:
    """Return whether the data segment of this process is limited (RLIMIT_DATA)."""
    return resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY


def anonymous_mb_at(address: int) -> float:
    """Return the anonymous memory of the mapping that holds this address, in MB. It is 0 for a mapped file."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(errors="replace").splitlines():
        key = line.split(maxsplit=1)[0]
        if "-" in key and not key.endswith(":"):
            first, last = (int(bound, 16) for bound in key.split("-"))
            inside = first <= address < last
        elif inside and key == "Anonymous:":
            return int(line.split()[1]) / 1024
    return 0.0


class MemoryReserve:
    """Memory (by default 16 MiB) that is set aside and released when memory runs out, so that this can be reported."""

    def __init__(self, size: int = 16 << 20) -> None:
        self._held: bytearray | None = bytearray(size)

    def release(self) -> None:
        """Free the reserve, once and for all."""
        self._held = None


class PeakMemory:
    """Record the peak of RssAnon and of VmData (which RLIMIT_DATA limits) while it is open, in MB."""

    def __init__(self, every_s: float = 0.002) -> None:
        self.rss_anon = self.data = 0.0
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._measure()

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self._measure()

    def _measure(self) -> None:
        for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                self.rss_anon = max(self.rss_anon, int(line.split()[1]) / 1024)
            elif line.startswith("VmData:"):
                self.data = max(self.data, int(line.split()[1]) / 1024)
