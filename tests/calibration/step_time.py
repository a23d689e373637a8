"""Step times in turns, with the noise of a machine that others use, and how often their ratio is judged wrongly."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LIMIT = 1.20
STEPS = 60
Ratio = Callable[[list[float], list[float]], tuple[float, float]]


@dataclass(frozen=True)
class Machine:
    """shared: the spread (of logarithms) of what slows both kinds of steps, drifting; own: of what slows one step;
    carry: how much of the own noise lasts until the next turn; spikes: the share of steps that take three times as
    long."""

    name: str
    shared: float
    own: float
    carry: float
    spikes: float


MACHINES = (
    Machine("quiet", 0.02, 0.03, 0.0, 0.0),
    Machine("busy", 0.2, 0.1, 0.2, 0.02),
    Machine("busy in spells", 0.3, 0.15, 0.5, 0.05),
)


def turns(machine: Machine, ratio: float, seed: int) -> tuple[list[float], list[float]]:
    """The seconds of `STEPS` pairs of steps; the first of each pair takes `ratio` times as long."""
    source = random.Random(f"{machine.name} {seed}")
    drift = _carried(source, 0.8, machine.shared)
    times = []
    for factor in (ratio, 1.0):
        own = _carried(source, machine.carry, machine.own)
        times.append(
            [factor * math.exp(next(own)) * (3 if source.random() < machine.spikes else 1) for _ in range(STEPS)]
        )
    shared = [math.exp(next(drift)) for _ in range(STEPS)]
    mine, theirs = ([step * slow for step, slow in zip(steps, shared, strict=True)] for steps in times)
    return mine, theirs


def _carried(source: random.Random, carry: float, spread: float) -> Iterator[float]:
    """An AR(1) of this standard deviation."""
    value = source.gauss(0, spread)
    while True:
        yield value
        value = carry * value + math.sqrt(1 - carry**2) * source.gauss(0, spread)


def failed(machine: Machine, ratio: float, times: int, method: Ratio) -> float:
    """How often the check fails: the lower bound is above the limit."""
    return sum(method(*turns(machine, ratio, seed))[1] > LIMIT for seed in range(times)) / times


def table(times: int) -> None:
    try:
        from atftctl.trainer.probes.ratio import ratio_of_medians
    except ImportError as error:
        print(f"\nStep times are left out: {error}")
        return
    print(f"\n## Step time: how often the check fails, in percent ({STEPS} steps each, limit {LIMIT:.2f})\n")
    print("| machine | true ratio 1.00 | 1.10 | 1.20 (size) | 1.30 | 1.40 |\n|---|---|---|---|---|---|")
    for machine in MACHINES:
        rates = (failed(machine, ratio, times, ratio_of_medians) for ratio in (1.0, 1.1, 1.2, 1.3, 1.4))
        print(f"| {machine.name} | " + " | ".join(f"{100 * rate:.1f}" for rate in rates) + " |")
