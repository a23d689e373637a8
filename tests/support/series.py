"""Generated metrics of a run, healthy or with a fault that begins at a certain step."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator

from atftctl.decide.detectors import bank
from atftctl.domain.finding import Finding
from atftctl.domain.run_rows import Row

RULES = bank.Rules("loss", "norm", "memory", "seconds", gradient_max=5.0)
NOISE = 0.15  # of the logarithm of the loss, from one step to the next


def healthy(count: int, seed: int, *, generation: int = 1) -> Iterator[Row]:
    """A loss that falls, a gradient that begins high, memory that fills up at first and then saws, steady steps."""
    rng = random.Random(seed)
    for step in range(1, count + 1):
        values = {
            "loss": (0.9 + 0.5 * math.exp(-step / 2000)) * math.exp(rng.gauss(0, NOISE)),
            "norm": (1.2 + 40 * math.exp(-step / 30)) * math.exp(rng.gauss(0, 0.25)),
            "memory": 500 - 60 * math.exp(-step / 60) + step % 37 * 0.4 + rng.random() * 4,
            "seconds": 0.5 * math.exp(rng.gauss(0, 0.1)) + (2.0 if rng.random() < 0.01 else 0.0),
        }
        yield Row(step, generation, values)


def with_fault(kind: str, begin: int, count: int, seed: int) -> Iterator[Row]:
    """A run whose metrics go wrong from the step `begin` on."""
    for row in healthy(count, seed):
        values, since = dict(row.values), row.step - begin
        if since >= 0:
            match kind:
                case "nan":
                    values["loss"] = math.nan
                case "infinite-norm":
                    values["norm"] = math.inf
                case "times-1.1":
                    values["loss"] *= 1.1 ** (since + 1)
                case "plus-50":
                    values["loss"] *= 1.5
                case "spike":
                    values["loss"] *= 50.0 if since == 0 else 1.0
                case "leak":
                    values["memory"] += 2.0 * since
                case "slower-steps":
                    values["seconds"] *= 1.6
        yield row._replace(values=values)


def alarms(
    rows: Iterable[Row], rules: bank.Rules = RULES, state: bank.State | None = None
) -> tuple[bank.State, list[Finding]]:
    """(the state of the detectors after these rows, all their findings)."""
    state, findings = state or bank.State(), list[Finding]()
    for row in rows:
        state, found = bank.take(rules, state, row)
        findings += found
    return state, findings
