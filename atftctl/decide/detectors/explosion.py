"""Values that leap far above the recent ones, or over a limit: three of five rows. A single one never counts."""

from __future__ import annotations

from typing import NamedTuple

from atftctl.decide.detectors.middle import median
from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME, LIMIT_NAME = "explosion", "gradient-limit"
HIGH = 6.0  # robust standard deviations
AT_LEAST, OF = 3, 5  # rows
FIRST, TIMES = 10, 2.0  # values that show how a run began; how many times as high a norm may be


def vote(votes: int, *, high: bool) -> int:
    """The last rows, a bit for each that was high, with one more row."""
    return (votes << 1 | high) & ((1 << OF) - 1)


def alarmed(votes: int) -> bool:
    """Were enough of the last rows high?"""
    return votes.bit_count() >= AT_LEAST


def take(
    votes: int, column: str, step: int, *, z: float, value: float, limit: float = HIGH
) -> tuple[int, Finding | None]:
    """(the votes with this row, the finding where the alarm begins)."""
    if not votes and z <= limit:
        return 0, None
    after = vote(votes, high=z > limit)
    if not alarmed(after) or alarmed(votes):
        return after, None
    text = tr("{metric} leaps: {value:.4g} in step {step}, {z:.0f} times its usual spread above its median",
              metric=column, value=value, step=step, z=min(z, 9999.0))  # fmt: skip
    return after, Finding(NAME, column, step, text)


class LimitState(NamedTuple):
    """`first`: how the run began; `usual`: the median of these values; `votes`: the last rows that were over the
    limit."""

    first: tuple[float, ...] = ()
    usual: float = 0.0
    votes: int = 0


def take_limit(
    state: LimitState, column: str, step: int, *, value: float, most: float, times: float = TIMES
) -> tuple[LimitState, Finding | None]:
    """Judge a gradient norm by a limit: above it, and above so many times what it was at first. A healthy run from new
    weights under the ranking loss begins at 20 to 100 (measured)."""
    first, usual, votes = state
    if len(first) < FIRST:
        first = (*first, value)
        usual = median(first)
    limit = max(most, times * usual)
    if not votes and value <= limit and len(first) == len(state.first):
        return state, None
    after = LimitState(first, usual, vote(votes, high=value > limit))
    if not alarmed(after.votes) or alarmed(votes):
        return after, None
    text = tr("{metric} is above {limit:.3g} in {high} of {rows} rows ({value:.4g} in step {step})",
              metric=column, limit=limit, high=after.votes.bit_count(), rows=OF, value=value, step=step)  # fmt: skip
    return after, Finding(LIMIT_NAME, column, step, text)
