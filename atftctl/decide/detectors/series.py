"""The detectors of one series of positive values, such as a loss: they all compare the logarithm of a value with the
recent ones that were no anomalies."""

from __future__ import annotations

import math
from typing import NamedTuple

from atftctl.decide.detectors import cusum, explosion, non_finite, robust, spike
from atftctl.domain.detector_rules import Detection
from atftctl.domain.finding import Finding

DEFAULT = Detection()


class Series(NamedTuple):
    """What is known of one series of positive values. `window`: of their logarithms."""

    window: robust.Window = robust.Window()
    bad: int = 0  # values in a row that were not finite; of a loss: since the first one
    votes: int = 0
    total: float = 0.0  # of the CUSUM
    high: int = 0


def take(
    state: Series, column: str, step: int, value: float, found: list[Finding | None], *, is_loss: bool,
    limits: Detection = DEFAULT,
) -> Series:  # fmt: skip
    """One more value of a series. Values that are not positive have no logarithm: only NaN is looked for in them."""
    if not math.isfinite(value):
        bad, finding = non_finite.take(state.bad, column, step, value, is_loss=is_loss)
        found.append(finding)
        return state._replace(bad=bad)
    if state.bad and not is_loss:
        state = state._replace(bad=0)
    if value <= 0:
        return state
    window, bad, votes, total, high = state
    log = math.log(value)
    z = robust.score(window, log)
    if z is None:
        return Series(robust.admit(window, log), bad, votes, total, high)
    most = limits.explosion_k
    if z > most or votes or high:
        votes, finding = explosion.take(votes, column, step, z=z, value=value, limit=most)
        high, single = spike.take(high, column, step, z=z, limit=most)
        found += [finding, single]
    if is_loss:
        usual = math.exp(window.centre)
        total, finding = cusum.take(total, column, step, z=z, value=value, usual=usual, limit=limits.drift_h)
        found.append(finding)
    if z <= most and not cusum.alarmed(total, limits.drift_h):
        window = robust.admit(window, log)
    return Series(window, bad, votes, total, high)
