"""A trainer that does nothing: no step for longer than its present section may last."""

from __future__ import annotations

from collections.abc import Sequence

NAME = "hang"
LEAST_S, TIMES = 60.0, 5.0  # of a step: at least so many seconds, and so many times the 99th percentile


def step_limit_s(seconds: Sequence[float], least: float = LEAST_S) -> float:
    """How long a step may take, by the seconds of the steps so far; at least so many seconds."""
    ordered = sorted(seconds)
    slowest = ordered[int(0.99 * (len(ordered) - 1))] if ordered else 0.0
    return max(least, TIMES * slowest)


def silent_s(*, now: float, last: float, limit_s: float) -> float | None:
    """The seconds without a sign of life where they are more than the limit; else None. A sign of life that is later
    than now (another clock) counts as one of now. Times in Unix seconds."""
    age = now - last
    return age if age > limit_s else None
