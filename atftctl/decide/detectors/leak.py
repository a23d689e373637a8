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
RECENT, RECENT_GROWTH = 48, 0.1  # minima of WIDTH rows, the newest; the share by which these must grow


class LeakState(NamedTuple):
    """`minima`: each over `width` rows. `low`, `rows`: the minimum of the rows since, and how many they are. `strikes`:
    judgements in a row that found a growth. `first`, `last`: the steps of the first and the newest row. `recent`,
    `recent_low`, `recent_rows`, `recent_strikes`: the same of the newest rows alone: a leak that begins late in a long
    run is a small part of it. `highest`: minimum of WIDTH rows before the newest ones."""

    minima: tuple[float, ...] = ()
    width: int = WIDTH
    low: float = 0.0
    rows: int = 0
    strikes: int = 0
    first: int = 0
    last: int = 0
    recent: tuple[float, ...] = ()
    recent_low: float = 0.0
    recent_rows: int = 0
    recent_strikes: int = 0
    highest: float = 0.0


def alarmed(state: LeakState) -> bool:
    """Does memory grow?"""
    return state.strikes >= RUNNING or state.recent_strikes >= RUNNING


def take(
    state: LeakState, column: str, step: int, value: float, least: float = GROWTH
) -> tuple[LeakState, Finding | None]:
    """(the state with this row, the finding where the alarm begins). least: the share by which memory must grow."""
    after = _with_recent(_with_whole(state, step, value, least), value, least)
    if not alarmed(after) or alarmed(state):
        return after, None
    return after, Finding(NAME, column, step, _text(after, column, least))


def _with_whole(state: LeakState, step: int, value: float, least: float) -> LeakState:
    """The state of the whole run with one row more."""
    minima, width, rows, strikes = state.minima, state.width, state.rows + 1, state.strikes
    low = value if rows == 1 else min(state.low, value)
    first = state.first if minima or rows > 1 else step
    if rows < width:
        return LeakState(minima, width, low, rows, strikes, first, step, *state[7:])
    minima = (*minima, low)
    if len(minima) >= MOST:
        minima, width = tuple(map(min, minima[::2], minima[1::2])), 2 * width
    if len(minima) * width >= ROWS and len(minima) % EVERY == 0:
        strikes = _strikes(minima, strikes, least)
    return LeakState(minima, width, 0.0, 0, strikes, first, step, *state[7:])


def _with_recent(state: LeakState, value: float, least: float) -> LeakState:
    """The state with one row more among the newest ones. They are judged once the minima of the whole run have become
    wider. Memory must be higher than ever before, too: that of a saw with long teeth is not."""
    recent, rows, strikes, highest = state.recent, state.recent_rows + 1, state.recent_strikes, state.highest
    low = value if rows == 1 else min(state.recent_low, value)
    if rows < WIDTH:
        return LeakState(*state[:7], recent, low, rows, strikes, highest)
    recent = (*recent, low)
    if len(recent) < RECENT + EVERY:
        return LeakState(*state[:7], recent, 0.0, 0, strikes, highest)
    highest, recent = max(highest, *recent[:EVERY]), recent[EVERY:]
    if state.width > WIDTH:
        share = max(least, RECENT_GROWTH)
        strikes = _strikes(recent, strikes, share) if low > highest * (1 + share) else 0
    return LeakState(*state[:7], recent, 0.0, 0, strikes, highest)


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
    minima, width = _growing(state)
    whole, steps = growth(minima, least), state.last - state.first
    rows = len(state.minima) * state.width + state.rows
    return whole.slope / width * rows / steps if whole and steps > 0 else 0.0


def _growing(state: LeakState) -> tuple[tuple[float, ...], int]:
    """(the minima that show the growth, the rows of each): those of the newest rows where only these do."""
    if state.recent_strikes >= RUNNING > state.strikes:
        return state.recent, WIDTH
    return state.minima, state.width


def _text(state: LeakState, column: str, least: float) -> Message:
    minima, _ = _growing(state)
    kept = minima[len(minima) // 3 :]
    return tr("{metric} grows: from {before:,.0f} to {after:,.0f} by step {step}, {rate:.3g} a step",
              metric=column, before=kept[0], after=kept[-1], step=state.last, rate=per_step(state, least))  # fmt: skip
