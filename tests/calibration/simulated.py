"""Series of differences by date whose true mean is zero, with the dependence that such series have."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

SPREAD = 0.08  # standard deviation of one date's difference; two models of the Tokyo panel have 0.03 to 0.12


@dataclass(frozen=True)
class Kind:
    """One kind of dependence. `carry`: the coefficient of an AR(1). `horizon`: of overlapping labels, in dates."""

    carry: float = 0.0
    horizon: int = 1
    heavy: bool = False  # Student's t with four degrees of freedom in place of normal values

    def __str__(self) -> str:
        name = f"AR {self.carry:g}" if self.carry or self.horizon == 1 else ""
        overlap = f"horizon {self.horizon}" if self.horizon > 1 else ""
        return ", ".join(filter(None, (name, overlap, "heavy tails" if self.heavy else "")))


def series(kind: Kind, count: int, seed: int) -> list[float]:
    """`count` values of mean 0 and standard deviation `SPREAD`."""
    source = random.Random(f"{kind} {count} {seed}")
    shock = _student(source) if kind.heavy else lambda: source.gauss(0, 1)
    shocks = _moving_sums([shock() for _ in range(count + kind.horizon - 1)], kind.horizon)
    carried = math.sqrt(1 - kind.carry**2)
    values = accumulate(shocks, lambda before, new: kind.carry * before + carried * new)
    return [SPREAD * value for value in values]


def _student(source: random.Random, freedom: int = 4) -> Callable[[], float]:
    """Student's t, scaled to a variance of one."""
    scale = math.sqrt((freedom - 2) / freedom)
    return lambda: scale * source.gauss(0, 1) / math.sqrt(source.gammavariate(freedom / 2, 2) / freedom)


def _moving_sums(shocks: list[float], horizon: int) -> Iterator[float]:
    """What labels over `horizon` dates share: each value is the sum of so many shocks, of variance one."""
    sums = list(accumulate(shocks, initial=0.0))
    return ((sums[at + horizon] - sums[at]) / math.sqrt(horizon) for at in range(len(shocks) - horizon + 1))
