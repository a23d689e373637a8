"""Values by a key, such as the date or the id of an example, paired with those of the baseline.

They come from a probe or a file: anything may be in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from atftctl.domain.record import record

Dated = Mapping[str, object] | Iterable[tuple[str, object]]
HUGE = 1e100  # larger values are no measurement, and their squares would overflow


@record
class Pairs:
    """The keys that have a value on both sides, in order, and the values. missing: the keys for which the baseline has
    a value and the other side has none. wanted: for how many keys the baseline has one."""

    keys: tuple[str, ...]
    now: tuple[float, ...]
    baseline: tuple[float, ...]
    missing: tuple[str, ...]
    wanted: int


def pair(now: Dated, before: Dated) -> Pairs:
    """Pair values by their keys. NaN, infinity, text without a number, and two values for one key are no value."""
    mine, theirs = _by_key(now), _by_key(before)
    keys = tuple(sorted(mine.keys() & theirs.keys()))
    return Pairs(
        keys,
        tuple(mine[key] for key in keys),
        tuple(theirs[key] for key in keys),
        tuple(sorted(theirs.keys() - mine.keys())),
        len(theirs),
    )


def _by_key(series: Dated) -> dict[str, float]:
    values: dict[str, float | None] = {}
    for key, given in series.items() if isinstance(series, Mapping) else series:
        value = number_of(given)
        values[key] = value if values.get(key, value) == value else None
    return {key: value for key, value in values.items() if value is not None}


def number_of(given: object) -> float | None:
    """A finite number; text that holds one counts, since JSON of other programs has such."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        value = float(given)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and abs(value) < HUGE else None
