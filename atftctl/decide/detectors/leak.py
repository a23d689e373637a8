"""Memory that grows without an end: minima over ten rows or more, the first third left out since allocators fill up at
first. It is wrong in 5 to 9 % of runs with a long warm-up (measured), so that it is never a reason to act by itself."""

from __future__ import annotations

from typing import NamedTuple

from atftctl.decide.detectors.middle import median
from atftctl.decide.detectors.trend import Trend, trend
from atftctl.domain.finding import Finding
from atftctl.protocol.messages import Message, tr

NAME = "leak"
WIDTH = 10  # rows of one minimum, at first
ROWS = 300  # that are needed at least
MOST = 120  # minima; then each two become one
EVERY = 4  # minima between two judgements
GROWTH = 0.02  # share that counts as one
STEADY = 0.7  # of the slope: the later half must rise by this at least
RUNNING = 2  # judgements in a row


class LeakState(NamedTuple):
    """`minima`: each over `width` rows. `low`, `rows`: the minimum of the rows since, and how many they are. `strikes`:
    judgements in a row that found a growth. `first`, `last`: the steps of the first and the newest row."""

    minima: tuple[float, ...] = ()
    width: int = WIDTH
    low: float = 0.0
    rows: int = 0
    strikes: int = 0
    first: int = 0
    last: int = 0


def alarmed(state: LeakState) -> bool:
    """Does memory grow?"""
    return state.strikes >= RUNNING


def take(
    state: LeakState, column: str, step: int, value: float, least: float = GROWTH
) -> tuple[LeakState, Finding | None]:
    """(the state with this row, the finding where the alarm begins). least: the share by which memory must grow."""
    minima, width, low, rows, strikes, first, _ = state
    low, rows = (value if not rows else min(low, value)), rows + 1
    first = first if minima or rows > 1 else step
    if rows < width:
        return LeakState(minima, width, low, rows, strikes, first, step), None
    minima = (*minima, low)
    if len(minima) >= MOST:
        minima, width = tuple(map(min, minima[::2], minima[1::2])), 2 * width
    judged = len(minima) * width >= ROWS and len(minima) % EVERY == 0
    strikes = _strikes(minima, strikes, least) if judged else strikes
    after = LeakState(minima, width, 0.0, 0, strikes, first, step)
    if not alarmed(after) or alarmed(state):
        return after, None
    return after, Finding(NAME, column, step, _text(after, column, least))


def _strikes(minima: tuple[float, ...], strikes: int, least: float) -> int:
    return min(strikes + 1, RUNNING) if growth(minima, least) else 0


def growth(minima: tuple[float, ...], least: float = GROWTH) -> Trend | None:
    """The trend of memory where it surely grows, by this share at least and in both halves; else None. Where it levels
    off, or leapt once, it grows more slowly in the later half."""
    kept = minima[len(minima) // 3 :]
    half, third = len(kept) // 2, len(kept) // 3
    if third < 3 or median(kept[-third:]) < median(kept[:third]) * (1 + least / 2):
        return None  # quickly said, as in most runs: it can't have grown enough
    whole = trend(kept)
    grown = whole.slope * (len(kept) - 1) >= least * max(kept[0], 1e-9)
    rising = whole.rises and grown and trend(kept[:half]).slope > 0
    return whole if rising and trend(kept[half:]).slope > STEADY * whole.slope else None


def per_step(state: LeakState, least: float = GROWTH) -> float:
    """By how much memory grows in a step; 0 where that is not known."""
    steps = state.last - state.first
    whole = growth(state.minima, least)
    return whole.slope * len(state.minima) / steps if whole and steps > 0 else 0.0


def _text(state: LeakState, column: str, least: float) -> Message:
    kept = state.minima[len(state.minima) // 3 :]
    return tr("{metric} grows: from {before:,.0f} to {after:,.0f} by step {step}, {rate:.3g} a step",
              metric=column, before=kept[0], after=kept[-1], step=state.last, rate=per_step(state, least))  # fmt: skip
