"""A value that stays above its usual level: one-sided CUSUM of the robust z, which adds up small excesses.

It needs rows that do not depend on each other much, as with shuffled days.
"""

from __future__ import annotations

from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME = "drift"
DRIFT, LIMIT, CLIP = 0.5, 20.0, 6.0  # an excess below DRIFT counts back; no single row counts more than CLIP
MOST = 2.0  # times the limit, so that the alarm ends some time after the values came back


def alarmed(total: float, limit: float = LIMIT) -> bool:
    """Is the sum over its limit?"""
    return total > limit


def take(
    total: float, column: str, step: int, *, z: float, value: float, usual: float, limit: float = LIMIT
) -> tuple[float, Finding | None]:
    """(the sum with this row, the finding where the alarm begins). usual: the median that z is counted from."""
    after = min(max(0.0, total + min(z, CLIP) - DRIFT), MOST * limit)
    if not alarmed(after, limit) or alarmed(total, limit):
        return after, None
    text = tr("{metric} stays above its level: {value:.4g} in step {step}, usually {usual:.4g}",
              metric=column, value=value, step=step, usual=usual)  # fmt: skip
    return after, Finding(NAME, column, step, text)
