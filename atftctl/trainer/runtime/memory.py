"""Out of memory: what it looks like, and the little that is kept back so that it can be reported."""

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
)  # oneDNN's words for it, and for other things


def is_out_of_memory(error: BaseException) -> bool:
    """MemoryError, CUDA's own kind, or the plain RuntimeError that torch raises on the CPU."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    words = str(error).lower()
    return any(sign in words for sign in SIGNS) or (
        any(sign in words for sign in AMBIGUOUS_SIGNS) and is_near_memory_limit()
    )


def is_near_memory_limit() -> bool:
    """Over 80 % of RLIMIT_DATA in use, where there is such a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024 > 0.8 * limit
    return False


def tune_allocator() -> None:
    """Under a memory limit, or where tensors are large, give each large tensor a mapping of its own, so that freeing
    it gives the memory back.

    glibc raises its mmap threshold up to 32 MiB as it goes; tensors then come from a heap whose holes still count
    against RLIMIT_DATA. Measured here (500 stocks, hidden 64): recovery in 2 pieces then holds at 460 MB, where
    before all 64 pieces failed at 500; a step costs up to a third more.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 20)
        libc.mallopt(M_ARENA_MAX, 1)
    except (OSError, AttributeError):
        return  # another libc: nothing to tune


def tune_allocator_if_large(stocks: int) -> None:
    """From 2,000 stocks on a step's tensors are so large that a heap full of their holes would count."""
    if stocks >= LARGE_STOCKS:
        tune_allocator()


def has_memory_limit() -> bool:
    return resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY


def anonymous_mb_at(address: int) -> float:
    """Anonymous memory of the mapping that holds this address, in MB: 0 for pages of a file."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        word = line.split(maxsplit=1)[0]
        if "-" in word and not word.endswith(":"):
            first, last = (int(one, 16) for one in word.split("-"))
            inside = first <= address < last
        elif inside and word == "Anonymous:":
            return int(line.split()[1]) / 1024
    return 0.0


class MemoryReserve:
    """Memory to throw overboard: without it, even the report of an out of memory may find none."""

    def __init__(self, size: int = 16 << 20) -> None:
        self._held: bytearray | None = bytearray(size)

    def release(self) -> None:
        self._held = None


class PeakMemory:
    """The largest values seen while it runs: RssAnon, and VmData, which is what RLIMIT_DATA counts. In MB."""

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
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                self.rss_anon = max(self.rss_anon, int(line.split()[1]) / 1024)
            elif line.startswith("VmData:"):
                self.data = max(self.data, int(line.split()[1]) / 1024)
