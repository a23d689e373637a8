"""What the detectors would have said on past runs: how often they were wrong, and how late."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from atftctl.decide.acting.replaying import Actor
from atftctl.decide.detectors import bank, cusum
from atftctl.decide.detectors.middle import median
from atftctl.domain.finding import Finding
from atftctl.domain.run_rows import Row
from atftctl.domain.runbook import Runbook

LEVEL = 0.95  # of the upper bound, one-sided
EXACT = 1e-17  # of a sum: less changes no float
MOST_SHOWN = 1000  # findings that are kept


@dataclass
class Counted:
    """One detector. `false`: alarms on steps that count as healthy. `judged`: such steps with a value that it judged.
    `delays`: of its first alarm in each run with a fault, in steps from the beginning of the fault."""

    false: int = 0
    judged: int = 0
    delays: list[int] = field(default_factory=list)

    @property
    def middle_delay(self) -> float | None:
        """The median of the delays."""
        return median(self.delays) if self.delays else None


@dataclass
class Acted:
    """What the watcher would have done in one run. `first`, `last`: its steps before the fault. `steps`: of them that
    were judged. `false`: rollbacks in them; `acted`: the step of the first rollback after the fault began."""

    name: str
    generation: int
    first: int
    last: int
    steps: int = 0
    false: int = 0
    acted: int | None = None


@dataclass
class Replay:
    """Feeds rows to the detectors. `fault_at`: the step at which a fault begins in each run; None: all are healthy.
    `healthy`: rows before it, or all; `rows`: all; `runs`, `faulty`: of which so many reached the fault. `runbook`:
    None where it is not asked what the watcher would have done; `acts`: of each run, what it would have."""

    rules: bank.Rules
    fault_at: int | None = None
    rows: int = 0
    healthy: int = 0
    runs: int = 0
    faulty: int = 0
    counted: dict[str, Counted] = field(default_factory=dict)
    findings: list[tuple[str, Finding]] = field(default_factory=list)
    runbook: Runbook | None = None
    acts: list[Acted] = field(default_factory=list)

    def feed(self, name: str, rows: Iterable[Row]) -> None:
        """All rows of one file. A run ends where the generation changes, or the steps begin anew."""
        state, seen = bank.State(), set[str]()
        reached, actor = False, None
        for row in rows:
            if not state.rows or row.generation != state.generation or row.step <= state.step:
                state, seen, reached = bank.State(generation=row.generation), set(), False
                self.runs += 1
                actor = self._begin(name, row)
            self.rows += 1
            in_fault = self.fault_at is not None and row.step >= self.fault_at
            self.healthy += not in_fault
            self.faulty += in_fault and not reached
            reached |= in_fault
            judging = bank.judging(self.rules, state, row)
            for detector in judging:
                self.counted.setdefault(detector, Counted()).judged += not in_fault
            state, found = bank.take(self.rules, state, row)
            for finding in found:
                self._count(name, finding, seen, in_fault=in_fault)
            if actor:
                acts = actor.take(state, row, found)
                self._act(row, acts=acts, in_fault=in_fault, judged=cusum.NAME in judging)

    def _begin(self, name: str, row: Row) -> Actor | None:
        if self.runbook is None:
            return None
        self.acts.append(Acted(name, row.generation, row.step, row.step))
        return Actor(self.runbook, self.rules)

    def _act(self, row: Row, *, acts: bool, in_fault: bool, judged: bool) -> None:
        run = self.acts[-1]
        if in_fault:
            run.acted = row.step if acts and run.acted is None else run.acted
            return
        run.last = row.step
        run.steps += judged
        run.false += acts

    def _count(self, name: str, finding: Finding, seen: set[str], *, in_fault: bool) -> None:
        if len(self.findings) < MOST_SHOWN:
            self.findings.append((name, finding))
        counted = self.counted.setdefault(finding.detector, Counted())
        if not in_fault:
            counted.false += 1
        elif finding.detector not in seen and self.fault_at is not None:
            seen.add(finding.detector)
            counted.delays.append(finding.step - self.fault_at)


def upper_bound(events: int, trials: int) -> float:
    """The upper one-sided 95 % bound of a rate, by Clopper and Pearson; 1 without a trial. With no event it is nearly
    3 / trials, the rule of three."""
    if not trials or events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(100):
        rate = (low + high) / 2
        low, high = (rate, high) if _at_most(events, trials, rate) > 1 - LEVEL else (low, rate)
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """The probability of so many events or fewer. At or below the mean the terms fall towards fewer events: those that
    no longer change the sum are left out."""
    if not 0 < rate < 1:
        return 1.0 if rate <= 0 else 0.0
    log = (
        math.lgamma(trials + 1) - math.lgamma(events + 1) - math.lgamma(trials - events + 1)
        + events * math.log(rate) + (trials - events) * math.log1p(-rate)
    )  # fmt: skip
    total, term = 1.0, 1.0
    for count in range(events, 0, -1):
        term *= count * (1 - rate) / ((trials - count + 1) * rate)
        total += term
        if term < total * EXACT:
            break
    return min(1.0, math.exp(log) * total)
