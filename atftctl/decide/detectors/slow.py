"""A loss that falls more slowly than that of a baseline run: compared at equal steps, 200 rows at a time."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME = "slower"
ROWS = 200  # of one judgement
SHARE = 0.05  # of the baseline's gain so far
RUNNING = 2  # judgements in a row


class Curve(NamedTuple):
    """The smoothed loss of a baseline run: `values` at these `steps`, which rise."""

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    def at(self, step: int) -> float | None:
        """The loss at this step; None where the run was not so far, or not yet."""
        index = bisect_right(self.steps, step) - 1
        return self.values[index] if index >= 0 and step <= self.steps[-1] else None


class SlowState(NamedTuple):
    """`above`: by what the rows of this judgement lie above the curve. `strikes`: judgements in a row that found the
    loss too high."""

    above: tuple[float, ...] = ()
    strikes: int = 0


def alarmed(state: SlowState) -> bool:
    """Does the loss fall too slowly?"""
    return state.strikes >= RUNNING


def take(state: SlowState, curve: Curve, column: str, step: int, value: float) -> tuple[SlowState, Finding | None]:
    """(the state with this row, the finding where the alarm begins)."""
    usual = curve.at(step)
    if usual is None:
        return state, None
    above = (*state.above, value - usual)
    if len(above) < ROWS:
        return SlowState(above, state.strikes), None
    margin = SHARE * max(curve.values[0] - usual, 0.0)
    mean = sum(above) / ROWS
    too_high = margin > 0 and mean > margin and _lower_bound(above) > margin
    after = SlowState((), min(state.strikes + 1, RUNNING) if too_high else 0)
    if not alarmed(after) or alarmed(state):
        return after, None
    text = tr("{metric} falls more slowly than in the baseline run: {above:.3g} above it by step {step}",
              metric=column, above=mean, step=step)  # fmt: skip
    return after, Finding(NAME, column, step, text)


def _lower_bound(above: tuple[float, ...]) -> float:
    from atftctl.decide.verdicts.bootstrap import bounds  # seldom needed, and takes a while to import

    return bounds(above)[0]
