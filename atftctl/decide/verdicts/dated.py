"""Values by date, paired with those of the baseline. They come from a probe or a file: anything may be in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from atftctl.domain.record import record

Dated = Mapping[str, object] | Iterable[tuple[str, object]]
HUGE = 1e100  # larger values are no measurement, and their squares would overflow


@record
class Pairs:
    """The dates that have a value on both sides, in order, and the values. missing: the dates on which the baseline has
    a value and the other side has none. wanted: on how many dates the baseline has one."""

    dates: tuple[str, ...]
    now: tuple[float, ...]
    baseline: tuple[float, ...]
    missing: tuple[str, ...]
    wanted: int


def pair(now: Dated, before: Dated) -> Pairs:
    """Pair values by their dates. NaN, infinity, text without a number, and two values for one date are no value."""
    mine, theirs = _by_date(now), _by_date(before)
    dates = tuple(sorted(mine.keys() & theirs.keys()))
    return Pairs(
        dates,
        tuple(mine[date] for date in dates),
        tuple(theirs[date] for date in dates),
        tuple(sorted(theirs.keys() - mine.keys())),
        len(theirs),
    )


def _by_date(series: Dated) -> dict[str, float]:
    values: dict[str, float | None] = {}
    for date, given in series.items() if isinstance(series, Mapping) else series:
        value = _number(given)
        values[date] = value if values.get(date, value) == value else None
    return {date: value for date, value in values.items() if value is not None}


def _number(given: object) -> float | None:
    """A finite number; text that holds one counts, since JSON of other programs has such."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        value = float(given)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and abs(value) < HUGE else None
