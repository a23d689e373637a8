"""What was observed of one run of the trainer, over a window of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from atftctl.domain.record import record


@record
class Window:
    """Rows of the run's metrics (as text, by column), its fatal event if it had one, and whether it is alive.
    `silent_s`: see `domain.facts.Process`."""

    rows: Sequence[Mapping[str, str]]
    alive: bool
    fatal: Mapping[str, Any] | None = None
    silent_s: float | None = None

    @property
    def steps(self) -> int:
        """Training steps from the first row to the last."""
        numbers = [int(row["step"]) for row in self.rows if row.get("step", "").isdigit()]
        return numbers[-1] - numbers[0] + 1 if numbers else 0

    @property
    def last_step(self) -> int:
        """The step of the last row that has one; 0 where none has."""
        return next((int(row["step"]) for row in reversed(self.rows) if row.get("step", "").isdigit()), 0)

    def column(self, name: str) -> list[float]:
        """The values of one column; NaN for a value that is not a number."""
        return [_number(row[name]) for row in self.rows if row.get(name)]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
