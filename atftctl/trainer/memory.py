"""Out of memory: what it looks like, and the little that is kept back so that it can be reported."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

SIGNS = ("can't allocate memory", "out of memory", "not enough memory", "bad_alloc", "bad allocation", "could not create a memory")


def is_out_of_memory(error: BaseException) -> bool:
    """MemoryError, CUDA's own kind, or the plain RuntimeError that torch raises on the CPU."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


class Ballast:
    """Memory to throw overboard: without it, even the report of an out of memory may find none."""

    def __init__(self, size: int = 16 << 20) -> None:
        self._held: bytearray | None = bytearray(size)

    def drop(self) -> None:
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
