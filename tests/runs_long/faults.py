"""Faults in the metrics of real runs: what each is recognised as, and how late."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from atftctl.decide.detectors import bank
from tests.runs_long.counting import rows_of, runbook
from tests.runs_long.training import Run
from tests.support.real_faults import FAULTS, Recognised, curve_of_rows, inject, place_of, recognise

NOTHING = "nothing"


def replay_faults(runs: Sequence[Run], count: int, seed: int) -> int:
    """Put so many faults into these runs, print what they were recognised as; the exit code: 1 where one was not
    recognised as what it is, or too late."""
    book, chance = runbook(), random.Random(seed)
    matrix, delays, wrong = dict[str, Counter[str]](), dict[str, list[int]](), list[str]()
    for number in range(count):
        kind = [*FAULTS][number % len(FAULTS)]
        run = chance.choice(runs)
        rows = rows_of(run, book)
        curve = curve_of_rows(rows, book.metrics.loss) if kind == "slower" else bank.NO_CURVE
        rules = bank.rules_of(book, curve)
        begin = place_of(kind, rows, chance)
        told = recognise(inject(kind, rows, begin, rules), rules, book)
        matrix.setdefault(kind, Counter())[told.name or NOTHING] += 1
        if told.rows is not None:
            delays.setdefault(kind, []).append(told.rows)
        if problem := _problem(kind, told):
            wrong.append(f"{kind} at step {begin} of {run.name}: {problem}")
    _print(matrix, delays)
    for line in wrong:
        print(f"  {line}")
    print(f"{count - len(wrong)} of {count} faults were recognised as what they are, in time")
    return int(bool(wrong))


def _problem(kind: str, told: Recognised) -> str:
    wanted, limit = FAULTS[kind]
    if told.name != wanted:
        return f"recognised as {told.name or NOTHING}"
    return f"after {told.rows} rows, not {limit}" if told.rows is None or told.rows > limit else ""


def _print(matrix: dict[str, Counter[str]], delays: dict[str, list[int]]) -> None:
    names = [
        *dict.fromkeys([*(wanted for wanted, _ in FAULTS.values()), *(name for row in matrix.values() for name in row)])
    ]
    print(
        f"{'fault':10} "
        + " ".join(f"{name:>16}" for name in names)
        + f" {'rows: median':>13} {'longest':>8} {'limit':>6}"
    )
    for kind, row in matrix.items():
        seen = sorted(delays.get(kind, []))
        middle, longest = (seen[len(seen) // 2], seen[-1]) if seen else ("", "")
        cells = " ".join(f"{row[name] or '.':>16}" for name in names)
        print(f"{kind:10} {cells} {middle:>13} {longest:>8} {FAULTS[kind][1]:>6}")
