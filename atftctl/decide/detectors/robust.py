"""How far a value lies above the recent ones, in robust standard deviations (MAD-z)."""

from __future__ import annotations

from typing import NamedTuple

from atftctl.decide.detectors.middle import median

SIZE, WARM_UP = 256, 64  # values that are compared with; with fewer than WARM_UP, nothing is said
REFRESH = 32  # values after which centre and scale are worked out again
NORMAL = 1.4826  # MAD of a normal distribution to its standard deviation
LEAST_SCALE = 2e-3  # of logarithms: a series that hardly varies is not judged by changes under a hundredth


class Window(NamedTuple):
    """The recent values that were no anomalies, with their median (`centre`) and scale. `fresh`: values since these
    were worked out."""

    values: tuple[float, ...] = ()
    centre: float = 0.0
    scale: float = 0.0
    fresh: int = 0


def score(window: Window, value: float) -> float | None:
    """The robust z of a value; None while too few values are known."""
    return (value - window.centre) / window.scale if window.scale else None


def admit(window: Window, value: float) -> Window:
    """The window with one value more."""
    values, centre, scale, fresh = window
    values = (*values[1 - SIZE :], value)
    if len(values) < WARM_UP or (scale and fresh + 1 < REFRESH):
        return Window(values, centre, scale, fresh + 1)
    centre = median(values)
    spread = NORMAL * median([abs(item - centre) for item in values])
    return Window(values, centre, max(spread, LEAST_SCALE), 0)
