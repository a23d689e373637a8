"""A loss or a gradient norm that is NaN or infinite: at once, since no training goes on after it."""

from __future__ import annotations

import math

from atftctl.decide.detectors.finding import Finding
from atftctl.protocol.messages import tr

NAME = "non-finite"


def take(seen: bool, column: str, step: int, value: float) -> tuple[bool, Finding | None]:
    """(whether a value of this generation was not finite, the finding for the first one)."""
    if seen or math.isfinite(value):
        return seen, None
    return True, Finding(
        NAME, column, step, tr("{metric} is {value} in step {step}", metric=column, value=str(value), step=step)
    )
