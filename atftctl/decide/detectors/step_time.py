"""Steps that take longer than those at the beginning: the ratio of the medians of 50 steps each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from atftctl.decide.detectors.middle import median
from atftctl.domain.finding import Finding
from atftctl.protocol.messages import tr

NAME = "step-time"
SKIPPED, STEPS = 10, 50  # steps at the beginning that are left out; steps of either side
EVERY = 25  # steps between two judgements
RATIO = 1.20
Z = 1.96  # of the bounds of both medians: together they hold in more than 95 %


class StepTimeState(NamedTuple):
    """`rows`: so far. `first`, `recent`: seconds of the first and of the newest steps. `slow`: the last judgement."""

    rows: int = 0
    first: tuple[float, ...] = ()
    recent: tuple[float, ...] = ()
    slow: bool = False


def take(
    state: StepTimeState, column: str, step: int, value: float, limit: float = RATIO
) -> tuple[StepTimeState, Finding | None]:
    """(the state with this row, the finding where steps become slower)."""
    rows, first, recent, slow = state
    rows += 1
    if rows <= SKIPPED:
        return StepTimeState(rows, first, recent, slow), None
    if len(first) < STEPS:
        return StepTimeState(rows, (*first, value), recent, slow), None
    recent = (*recent[1 - STEPS :], value)
    if len(recent) < STEPS or rows % EVERY:
        return StepTimeState(rows, first, recent, slow), None
    ratio, lower = ratio_of(recent, first)
    after = StepTimeState(rows, first, recent, lower > limit)
    if slow or not after.slow:
        return after, None
    text = tr("steps take {ratio:.2f} times as long as at first (at least {lower:.2f}) by step {step}",
              ratio=ratio, lower=lower, step=step)  # fmt: skip
    return after, Finding(NAME, column, step, text)


def ratio_of(recent: Sequence[float], first: Sequence[float]) -> tuple[float, float]:
    """(the ratio of the medians, its lower bound), by the order statistics of either side."""
    below = max(median(first), 1e-12)
    return median(recent) / below, _order(recent, -Z) / max(_order(first, Z), 1e-12)


def _order(values: Sequence[float], z: float) -> float:
    """The bound of the median that lies z standard deviations of the sign test from it."""
    size = len(values)
    at = (size - 1) / 2 + z * math.sqrt(size) / 2
    rounded = math.floor(at) if z < 0 else math.ceil(at)
    return sorted(values)[min(max(rounded, 0), size - 1)]
