"""A leak of memory in the data path, made on purpose for `atftctl drill`, and in a drill only."""

from __future__ import annotations

import os

import numpy as np

from atftctl import protocol

MOST_MB = 64.0  # a date


class Leak:
    """Memory that is kept for ever with each date that is read from the memory map. `mapped`: is there one?"""

    def __init__(self, *, mapped: bool) -> None:
        self._values = int(_wanted_mb() * 2**20 / 8) if mapped else 0
        self._kept: list[np.ndarray] = []

    @property
    def grows(self) -> bool:
        return self._values > 0

    def grow(self) -> None:
        """Keep some more."""
        if self.grows:
            self._kept.append(np.ones(self._values))


def _wanted_mb() -> float:
    if not os.environ.get(protocol.DRILL):
        return 0.0
    try:
        return min(max(float(os.environ.get(protocol.DRILL_LEAK_MB, "0")), 0.0), MOST_MB)
    except ValueError:
        return 0.0
