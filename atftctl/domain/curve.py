"""A curve: what a picture of one measured quantity is drawn from, whether as text or as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from atftctl.domain.record import record

ROLLING = 20  # values of a rolling mean


@record
class Curve:
    """The measured values `ys` at `xs`, which never fall. Missing values are left out; one that is not finite stays,
    and is shown as a mark. `ends`: what people call the first and the last x."""

    title: str
    xs: Sequence[float]
    ys: Sequence[float]
    unit: str = ""
    ends: tuple[str, str] = ("", "")

    @property
    def finite(self) -> list[float]:
        return [value for value in self.ys if math.isfinite(value)]

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest finite value; None where there is none."""
        finite = self.finite
        return (min(finite), max(finite)) if finite else None


@record
class Scale:
    """Places a value between 0.0 (`low`) and 1.0 (`high`); by its logarithm where `log`."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        low, high, at = map(self._measure, (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    def value(self, place: float) -> float:
        """The value at this place."""
        low, high = self._measure(self.low), self._measure(self.high)
        at = low + (high - low) * place
        return 10.0**at if self.log else at * 2

    def _measure(self, value: float) -> float:
        # Halves, so that the distance between the largest numbers is still a number.
        return math.log10(value) if self.log else value / 2


DIGITS, MOST_DIGITS = 4, 7  # of a number that is shown; at most, where two would look the same
LOG_FROM = 1000.0  # times the least value: from here on a spike would flatten everything else


def scale_of(curves: Iterable[Curve]) -> Scale | None:
    """The scale that all these curves fit in; None where none has a finite value. Logarithmic where all values are over
    zero and the greatest is a thousand times the least."""
    ranges = [bounds for curve in curves if (bounds := curve.range)]
    if not ranges:
        return None
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return Scale(low, high, log=low > 0 and high / low >= LOG_FROM)


def number_text(value: float | None, digits: int = DIGITS) -> str:
    """A number in at most ten characters with four significant digits; whole numbers below 10,000,000 as they are."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if (digits <= DIGITS and 1000 <= abs(value) < 10_000_000) or value == int(value):
        return f"{value + 0.0:.0f}" if abs(value) < 10_000_000 else f"{value:.3e}"  # + 0.0: no minus before a zero
    return f"{value:.{digits}g}"


def different_texts(low: float, high: float) -> tuple[str, str]:
    """Both as `number_text`, with as many digits as tell them apart: a scale from 0.2637 to 0.2637 says nothing."""
    texts = [(number_text(low, digits), number_text(high, digits)) for digits in range(DIGITS, MOST_DIGITS + 1)]
    return next((pair for pair in texts if pair[0] != pair[1]), texts[0])


def quality_curves(
    title: str, by_date: Mapping[str, float], baseline: Mapping[str, float]
) -> tuple[Curve, tuple[Curve, ...]]:
    """(each value of quality; its rolling mean, then that of the baseline where there is one). The means cover
    `ROLLING` values, fewer where there are few. `by_date`, `baseline`: by date, or by another key that sorts; over the
    same dates or others."""
    dates = sorted(by_date.keys() | baseline.keys())
    place = {date: float(number) for number, date in enumerate(dates)}
    ends = (dates[0], dates[-1]) if dates else ("", "")
    sides = [_by_place(values, place) for values in (by_date, baseline)]
    window = max(1, min(ROLLING, len(by_date) // 4))
    means = [Curve(title, *rolling(xs, ys, window), ends=ends) for xs, ys in sides if by_date and len(xs) >= window]
    return Curve(title, *sides[0], ends=ends), tuple(means)


def _by_place(values: Mapping[str, float], place: Mapping[str, float]) -> tuple[list[float], list[float]]:
    dates = sorted(values)
    return [place[date] for date in dates], [values[date] for date in dates]


def rolling(xs: Sequence[float], ys: Sequence[float], window: int) -> tuple[list[float], list[float]]:
    """(the xs, the mean of the finite values among the last `window` values), from the first whole window on; an x is
    left out where none of these values is finite."""
    places, means = list[float](), list[float]()
    for end in range(window, len(ys) + 1):
        if finite := [value for value in ys[end - window : end] if math.isfinite(value)]:
            places.append(xs[end - 1])
            means.append(math.fsum(finite) / len(finite))
    return places, means
