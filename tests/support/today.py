"""Samples of sweeps: `make test` takes some cases, others each day; `make long` (ATFTCTL_ALL=1) takes all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
ALL = bool(os.environ.get("ATFTCTL_ALL"))
# The day as a number; set before the workers of pytest-xdist start, which must all collect the same tests.
TODAY = int(os.environ.setdefault("ATFTCTL_TODAY", str(int(time.time() // 86_400))))


def some(cases: Iterable[T], count: int) -> list[T]:
    """The cases of today: so many, in their order; each case has its turn."""
    every = list(cases)
    if ALL or count >= len(every):
        return every
    first = TODAY * count
    return [every[at] for at in sorted((first + more) % len(every) for more in range(count))]


def examples(count: int) -> int:
    """How many examples Hypothesis tries of a property that has been tried with `count`: a quarter, other ones each time."""
    return count if ALL else max(count // 4, 20)
