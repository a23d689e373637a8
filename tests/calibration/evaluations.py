"""Print how often evaluations that depend on each other pass at a loss of exactly the margin: 5 % is right at most.

`python -m tests.calibration.evaluations`: normal series with a given correlation of neighbours; a minute, no packages.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache

from atftctl.decide.verdicts import dependent
from atftctl.decide.verdicts.bootstrap import student_quantile

CASES = ((5, 5, 0.0), (5, 5, 0.5), (5, 5, 0.8), (8, 8, 0.5), (8, 8, 0.8), (12, 12, 0.8), (20, 20, 0.0), (20, 20, 0.5),
         (20, 20, 0.8), (20, 20, 0.9), (5, 200, 0.8), (50, 50, 0.8), (200, 200, 0.5), (200, 200, 0.8))  # fmt: skip
TIMES = 4000
_quantile = lru_cache(student_quantile)


def series(count: int, correlation: float, source: random.Random) -> list[float]:
    value, values = source.gauss(0, 1), []
    for _ in range(count):
        value = correlation * value + math.sqrt(1 - correlation**2) * source.gauss(0, 1)
        values.append(value)
    return values


def bounds(values: list[float]) -> tuple[float, float, float]:
    """The mean and its bounds, from those of Student for independent values."""
    count, mean = len(values), math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    reach = _quantile(count - 1) * spread / math.sqrt(count)
    return mean, *dependent.widened((mean - reach, mean + reach), values)


def main() -> None:
    dependent.student_quantile = lambda freedom: _quantile(round(freedom, 1))  # type: ignore[attr-defined]
    for now, before, correlation in CASES:
        source, passed, widths = random.Random(7), 0, []
        for _ in range(TIMES):
            mine, lower, _ = bounds(series(now, correlation, source))
            theirs, _, upper = bounds(series(before, correlation, source))
            widths.append(math.hypot(mine - lower, upper - theirs))
            passed += mine - theirs > widths[-1]
        middle = sorted(widths)[TIMES // 2]
        print(f"{now} and {before}, r = {correlation}: {100 * passed / TIMES:.1f} %, half the width {middle:.2f}")


if __name__ == "__main__":
    main()
