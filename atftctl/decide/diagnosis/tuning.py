"""Which thresholds the detectors should have, by past runs: the smallest ones whose false alarms are rare enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from atftctl.decide.detectors import bank, cusum, explosion, leak, slow, step_time
from atftctl.decide.detectors.middle import median
from atftctl.decide.diagnosis.replayed import upper_bound
from atftctl.domain.detector_rules import Detection
from atftctl.domain.record import record
from atftctl.domain.run_rows import Row

LIMIT = 1e-4  # false alarms in a healthy step: what the upper 95 % bound must not exceed
MERGED_EVERY = 64  # rows
ROLES = ("loss", "gradient", "memory", "step_time")


@record
class Dial:
    """The threshold `key` of a detector, the values that are tried, and the columns that it needs, by role."""

    detector: str
    key: str
    values: tuple[float, ...]
    roles: tuple[str, ...]


DIALS = (
    Dial(explosion.NAME, "explosion_k", (4, 5, 6, 7, 8, 10, 12, 16, 24), ("loss", "gradient")),
    Dial(explosion.LIMIT_NAME, "gradient_times", (1.5, 2, 3, 4, 6, 10), ("gradient",)),
    Dial(cusum.NAME, "drift_h", (10, 15, 20, 25, 30, 40, 60, 100), ("loss",)),
    Dial(leak.NAME, "leak_growth", (0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2), ("memory",)),
    Dial(step_time.NAME, "step_time_ratio", (1.1, 1.15, 1.2, 1.3, 1.5, 2, 3, 5), ("step_time",)),
    Dial(slow.NAME, "slower_share", (0.025, 0.05, 0.1, 0.2, 0.4, 0.8), ("loss",)),
)


@dataclass
class Trial:
    """One detector with one threshold. `false`: its false alarms in each run; `delays`: by run, of its first alarm
    after the beginning of the fault, in steps."""

    detector: str
    value: float
    rules: bank.Rules
    state: bank.State = field(default_factory=bank.State)
    false: list[int] = field(default_factory=list)
    delays: dict[int, int] = field(default_factory=dict)

    def begin(self, generation: int) -> None:
        """A run begins."""
        self.state = bank.State(generation=generation)
        self.false.append(0)

    def note(self, state: bank.State, findings: bank.Findings, row: Row, fault_at: int | None) -> None:
        """What the detector said of one more row. fault_at: the step at which the fault begins; None for none."""
        self.state = state
        for finding in findings:
            if finding.detector != self.detector:
                continue
            if fault_at is None or row.step < fault_at:
                self.false[-1] += 1
            else:
                self.delays.setdefault(len(self.false) - 1, finding.step - fault_at)


class Trials:
    """All trials of one dial, the smallest threshold first. Those whose states are equal go on together: what the
    smallest and the greatest of their thresholds make of a row, those between them make of it, too. In health that is
    nearly always so, and the rows cost a fifth."""

    def __init__(self, trials: list[Trial]) -> None:
        self.all = trials
        self._groups = [trials]
        self._rows = 0

    def begin(self, generation: int) -> None:
        """A run begins."""
        self._groups = [self.all]
        for trial in self.all:
            trial.begin(generation)

    def take(self, row: Row, fault_at: int | None) -> None:
        """One more row of the run."""
        self._rows += 1
        groups = list[list[Trial]]()
        for group in self._groups:
            groups += self._together(group, row, fault_at)
        self._groups = _merged(groups) if self._rows % MERGED_EVERY == 0 else groups

    def _together(self, group: list[Trial], row: Row, fault_at: int | None) -> list[list[Trial]]:
        """The group with one more row, whole or in parts."""
        least = bank.take(group[0].rules, group[0].state, row)
        if len(group) == 1 or least == bank.take(group[-1].rules, group[-1].state, row):
            for trial in group:
                trial.note(*least, row, fault_at)
            return [group]
        for trial in group:
            trial.note(*bank.take(trial.rules, trial.state, row), row, fault_at)
        return _merged([[trial] for trial in group])


def _merged(groups: list[list[Trial]]) -> list[list[Trial]]:
    """Neighbours whose states are equal, in one group."""
    merged = list[list[Trial]]()
    for group in groups:
        if merged and merged[-1][0].state == group[0].state:
            merged[-1] = [*merged[-1], *group]
        else:
            merged.append(group)
    return merged


class Sweep:
    """Feeds rows to all detectors with each of their thresholds. `judged`: by detector, in each run, the healthy steps
    with a value that it judged. `faulty`: how many runs reached the fault."""

    def __init__(self, rules: bank.Rules, fault_at: int | None = None) -> None:
        self.rules, self.fault_at = rules, fault_at
        self.dials = [dial for dial in DIALS if _is_used(rules, dial)]
        self.trials = {
            dial.key: Trials([_trial(rules, dial, value) for value in _values(rules, dial)]) for dial in self.dials
        }
        self.judged: dict[str, list[int]] = {dial.detector: [] for dial in self.dials}
        self.rows = self.healthy = self.runs = self.faulty = 0
        self._state = bank.State()
        self._reached = False

    def feed(self, name: str, rows: Iterable[Row]) -> None:
        """All rows of one file, of whatever name. A run ends where the generation changes, or the steps begin anew."""
        del name
        self._state = bank.State()
        for row in rows:
            state = self._state
            if not state.rows or row.generation != state.generation or row.step <= state.step:
                self._begin(row.generation)
            self._take(row)

    def _begin(self, generation: int) -> None:
        self._state, self._reached, self.runs = bank.State(generation=generation), False, self.runs + 1
        for counts in self.judged.values():
            counts.append(0)
        for trials in self.trials.values():
            trials.begin(generation)

    def _take(self, row: Row) -> None:
        in_fault = self.fault_at is not None and row.step >= self.fault_at
        self.rows, self.healthy = self.rows + 1, self.healthy + (not in_fault)
        self.faulty += in_fault and not self._reached
        self._reached |= in_fault
        if not in_fault:
            for name in bank.judging(self.rules, self._state, row):
                if name in self.judged:
                    self.judged[name][-1] += 1
        self._state, _ = bank.take(self.rules, self._state, row)
        for trials in self.trials.values():
            trials.take(row, self.fault_at)


def _is_used(rules: bank.Rules, dial: Dial) -> bool:
    known = any(getattr(rules, role) for role in dial.roles)
    return known and (dial.detector != slow.NAME or bool(rules.curve.steps))


def _values(rules: bank.Rules, dial: Dial) -> list[float]:
    own = (getattr(rules.limits, dial.key), getattr(Detection(), dial.key))
    return sorted({*map(float, dial.values), *own})


def _trial(rules: bank.Rules, dial: Dial, value: float) -> Trial:
    """The detector with this threshold, and only the columns that it needs."""
    loss, gradient, memory, time = (getattr(rules, role) if role in dial.roles else "" for role in ROLES)
    limits = replace(rules.limits, **{dial.key: value})
    curve = rules.curve if dial.detector == slow.NAME else bank.NO_CURVE
    own = bank.Rules(loss, gradient, memory, time, rules.gradient_max, curve=curve, limits=limits)
    return Trial(dial.detector, value, own)


@record
class Outcome:
    """What a threshold would have done. `false`: false alarms. `seen`: runs whose fault it saw; `delay`: the median of
    the steps until then, None for none; `worst`: the longest of them."""

    value: float
    false: int
    seen: int
    delay: float | None
    worst: int | None


@record
class Proposal:
    """What is proposed for one threshold. `judged`: healthy steps. `proven`: the bound of its false alarms is low
    enough, also on the runs that were held out. `held_out`: the false alarms on each run of the threshold that the
    other runs propose. `more`: healthy steps that are needed in addition; 0 for none. `exhausted`: the greatest
    threshold that was tried is not enough."""

    detector: str
    key: str
    judged: int
    old: Outcome
    new: Outcome
    proven: bool
    held_out: int
    more: int
    exhausted: bool

    @property
    def bound(self) -> float:
        """The upper 95 % bound of the false alarms in a step."""
        return upper_bound(self.new.false, self.judged)

    @property
    def held_out_bound(self) -> float:
        """The same, of the runs that were held out."""
        return upper_bound(self.held_out, self.judged)


def proposals(sweep: Sweep, limit: float = LIMIT) -> list[Proposal]:
    """A proposal for each threshold whose detector has judged anything. limit: of the bound, in a step."""
    return [_proposal(sweep, dial, limit) for dial in sweep.dials if sum(sweep.judged[dial.detector])]


def _proposal(sweep: Sweep, dial: Dial, limit: float) -> Proposal:
    trials, judged = sweep.trials[dial.key].all, sum(sweep.judged[dial.detector])
    allowed = most_false(judged, limit)
    own, default = getattr(sweep.rules.limits, dial.key), getattr(Detection(), dial.key)
    if allowed < 0:  # too few steps to prove anything: nothing tighter than the default
        trials, allowed = [trial for trial in trials if trial.value >= default], 0
        proven = False
    else:
        proven = True
    place, held_out, enough = _chosen(trials, allowed)
    old = next(trial for trial in sweep.trials[dial.key].all if trial.value == own)
    new = trials[place]
    false = sum(new.false)
    return Proposal(
        dial.detector, dial.key, judged, _outcome(old), _outcome(new), proven and enough, held_out,
        max(0, steps_needed(false, limit) - judged), exhausted=not enough and place == len(trials) - 1,
    )  # fmt: skip


def _chosen(trials: Sequence[Trial], allowed: int) -> tuple[int, int, bool]:
    """(the place of the smallest threshold that is enough, the false alarms on the runs that were held out, are these
    few enough). Where the threshold that most runs propose is wrong on the run that was left out, it fits the noise of
    these runs: then the next greater one is taken, everywhere."""
    totals = [sum(trial.false) for trial in trials]
    runs = range(len(trials[0].false))
    last = len(trials) - 1
    for margin in range(len(trials)):
        place = min(_smallest(totals, allowed) + margin, last)
        held_out = 0
        for run in runs:
            others = [total - trial.false[run] for total, trial in zip(totals, trials, strict=True)]
            held_out += trials[min(_smallest(others, allowed) + margin, last)].false[run]
        if held_out <= allowed and totals[place] <= allowed:
            return place, held_out, True
    return last, held_out, False


def _smallest(totals: Sequence[int], allowed: int) -> int:
    """The place of the smallest threshold from which on none has more false alarms than are allowed."""
    place = len(totals)
    while place and totals[place - 1] <= allowed:
        place -= 1
    return min(place, len(totals) - 1)


def _outcome(trial: Trial) -> Outcome:
    delays = list(trial.delays.values())
    return Outcome(
        trial.value, sum(trial.false), len(delays), median(delays) if delays else None, max(delays, default=None)
    )


def most_false(judged: int, limit: float = LIMIT) -> int:
    """How many false alarms in so many steps have a bound that is low enough; -1 where not even none has."""
    allowed = -1
    while upper_bound(allowed + 1, judged) <= limit:
        allowed += 1
    return allowed


@lru_cache(maxsize=256)
def steps_needed(false: int, limit: float = LIMIT) -> int:
    """How many steps with so many false alarms have a bound that is low enough."""
    low, high = 0, 1
    while upper_bound(false, high) > limit:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if upper_bound(false, middle) <= limit else (middle, high)
    return high


def yaml_lines(made: Mapping[str, float]) -> list[str]:
    """The lines of the runbook with these thresholds, by key; empty where there is none."""
    return ["detection:", *(f"  {key}: {value:g}" for key, value in made.items())] if made else []
