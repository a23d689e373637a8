"""One or two high values between usual ones: worth a line, never a reason to act."""

from __future__ import annotations

from atftctl.decide.detectors.explosion import AT_LEAST, HIGH
from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME = "spike"


def take(high: int, column: str, step: int, *, z: float, limit: float = HIGH) -> tuple[int, Finding | None]:
    """(how many of the last rows were high without a break, the finding where a spike has ended)."""
    if z > limit:
        return high + 1, None
    if 0 < high < AT_LEAST:
        return 0, Finding(NAME, column, step, tr("{metric} had a spike before step {step}", metric=column, step=step))
    return 0, None
