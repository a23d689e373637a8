"""A loss that falls more slowly than that of a baseline run: compared at equal steps, 200 rows at a time."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import NamedTuple

from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME = "slower"
ROWS = 200  # of one judgement, and of the smoothing of the curve
SHARE = 0.05  # of the baseline's gain so far
RUNNING = 2  # judgements in a row
NORMAL = 1.6448536269514722  # 95 % quantile


class Curve(NamedTuple):
    """The smoothed loss of a baseline run: `values` at these `steps`, which rise. `noise`: the standard error of such
    a value, since the baseline is a single run, too."""

    steps: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    noise: float = 0.0

    def at(self, step: int) -> float | None:
        """The loss at this step, between two known steps on the line; None where the run was not so far, or not yet."""
        index = bisect_right(self.steps, step) - 1
        if index < 0 or step > self.steps[-1]:
            return None
        if step == self.steps[index]:
            return self.values[index]
        share = (step - self.steps[index]) / (self.steps[index + 1] - self.steps[index])
        return self.values[index] + share * (self.values[index + 1] - self.values[index])


class SlowState(NamedTuple):
    """`above`: by what the rows of this judgement lie above the curve. `strikes`: judgements in a row that found the
    loss too high."""

    above: tuple[float, ...] = ()
    strikes: int = 0


def alarmed(state: SlowState) -> bool:
    """Does the loss fall too slowly?"""
    return state.strikes >= RUNNING


def take(
    state: SlowState, curve: Curve, column: str, step: int, value: float, share: float = SHARE
) -> tuple[SlowState, Finding | None]:
    """(the state with this row, the finding where the alarm begins). share: of the baseline's gain so far by which the
    loss may lie above the curve."""
    usual = curve.at(step)
    if usual is None:
        return state, None
    above = (*state.above, value - usual)
    if len(above) < ROWS:
        return SlowState(above, state.strikes), None
    margin = share * max(curve.values[0] - usual, 0.0)
    mean = sum(above) / ROWS
    too_high = margin > 0 and mean > margin and _lower_bound(above, mean, curve.noise) > margin
    after = SlowState((), min(state.strikes + 1, RUNNING) if too_high else 0)
    if not alarmed(after) or alarmed(state):
        return after, None
    text = tr("{metric} falls more slowly than in the baseline run: {above:.3g} above it by step {step}",
              metric=column, above=mean, step=step)  # fmt: skip
    return after, Finding(NAME, column, step, text)


def _lower_bound(above: tuple[float, ...], mean: float, noise: float) -> float:
    """The lower 95 % bound of the distance between the two runs: both are noisy."""
    from atftctl.decide.verdicts.bootstrap import bounds  # seldom needed, and takes a while to import

    return mean - math.hypot(mean - bounds(above)[0], NORMAL * noise)
