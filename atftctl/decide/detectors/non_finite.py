"""Values that are NaN or infinite. A loss: at once, and for good, since no training goes on after it. A gradient norm:
only many in a row, since training with 16-bit floats skips such a step, halves its loss scale and goes on."""

from __future__ import annotations

import math

from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME = "non-finite"
ROWS = 20  # of a gradient norm, in a row: a loss scale of 65,536, as it is at first, is below 1 after 17 halvings


def alarmed(rows: int) -> bool:
    """Are so many gradient norms in a row a fault?"""
    return rows >= ROWS


def take(rows: int, column: str, step: int, value: float, *, is_loss: bool) -> tuple[int, Finding | None]:
    """(how many values in a row were not finite, the finding where the alarm begins)."""
    if math.isfinite(value):
        return rows, None
    after = min(rows + 1, ROWS)
    if is_loss and not rows:
        text = tr("{metric} is {value} in step {step}", metric=column, value=str(value), step=step)
        return after, Finding(NAME, column, step, text)
    if is_loss or alarmed(rows) or not alarmed(after):
        return after, None
    text = tr("{metric} is not finite in {rows} rows in a row: {value} in step {step}",
              metric=column, rows=ROWS, value=str(value), step=step)  # fmt: skip
    return after, Finding(NAME, column, step, text)
