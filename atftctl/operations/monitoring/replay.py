"""`replay`: what the detectors would have said on past runs, and what the watcher would have done. Nothing of the
project is changed; what its own runs show about false rollbacks is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from atftctl.decide.detectors import bank, slow
from atftctl.decide.detectors.middle import median
from atftctl.decide.diagnosis.replayed import Counted, Replay, upper_bound
from atftctl.domain.detector_rules import DETECTORS
from atftctl.domain.record import record
from atftctl.domain.result import Data, Reporter, Result
from atftctl.operations.monitoring import earned
from atftctl.operations.monitoring.past_runs import PER, feed_all, nothing_to_judge, rules_for
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr, trn

NOT_REPLAYED = "hang"  # it needs times


@record
class DetectorLine(Data):
    """One detector.

    name: of the detector. judged: healthy steps with a value that it judged. false_alarms: alarms on them. rate: of
    them in 10,000 steps, or null where it judged none. upper: the upper 95 % bound of this rate, by Clopper and
    Pearson, or null. detected: runs whose fault it saw. delay: the median of the steps from
    the fault to its alarm, or null. worst: the longest of them, or null.
    """

    name: str
    judged: int
    false_alarms: int
    rate: float | None
    upper: float | None
    detected: int
    delay: float | None
    worst: int | None


@record
class ActsLine(Data):
    """What the watcher would have done, from the metrics alone.

    steps: healthy steps that were judged. false_acts: rollbacks in them. upper: the upper 95 % bound of their rate in
    10,000 steps, or null. acted: runs with a fault in which it would have rolled back. delay: the median of the steps
    from the fault to it, or null. worst: the longest of them, or null. own_steps: healthy steps of this service's own
    runs that were shown with these thresholds, in all. own_false_acts: rollbacks in those. own_upper: the upper bound
    of their rate, or null. missing: further healthy steps that are needed until the watcher may act by itself. notes:
    what does not count, and why.
    """

    steps: int
    false_acts: int
    upper: float | None
    acted: int
    delay: float | None
    worst: int | None
    own_steps: int
    own_false_acts: int
    own_upper: float | None
    missing: int
    notes: tuple[str, ...]


@record
class Alarm(Data):
    """One alarm.

    file: the metrics. detector: its name. step: at which the alarm began. text: what it says.
    """

    file: str
    detector: str
    step: int
    text: str


@record
class ReplayData(Data):
    """Data of `replay`.

    rows: of metrics that were fed to the detectors. healthy: how many of them count as healthy. runs: of a trainer;
    faulty: how many of them reached the fault. fault_at: the step at which it begins, or null. detectors: what each
    said. alarms: the first thousand alarms. torn: lines of the files that were no rows. acts: what the watcher would
    have done.
    """

    rows: int
    healthy: int
    runs: int
    faulty: int
    fault_at: int | None
    detectors: tuple[DetectorLine, ...]
    alarms: tuple[Alarm, ...]
    torn: int
    acts: ActsLine


def replay(project: Project, paths: Sequence[Path], fault_at: int | None, report: Reporter) -> Result:
    """Feed the rows of these files to the detectors, and record what they show about the service's own runs. Raises
    Refused where a file can't be read, or has no column that a detector needs; UsageError for a file that is given
    twice."""
    rules, uncompared = rules_for(project, paths)
    replayed = Replay(rules, fault_at, runbook=project.runbook)
    columns = tuple(dict.fromkeys(filter(None, (*rules.columns, project.runbook.metrics.quality))))
    torn = feed_all(project.layout, paths, columns, replayed.feed, report)
    if not replayed.counted:
        raise nothing_to_judge(rules, paths)
    lines = tuple(_line(name, replayed.counted.get(name, Counted())) for name in _names(rules))
    alarms = tuple(Alarm(name, found.detector, found.step, found.text) for name, found in replayed.findings)
    data = ReplayData(
        replayed.rows, replayed.healthy, replayed.runs, replayed.faulty, fault_at, lines, alarms, torn,
        _acts(project, replayed, fault_at),
    )  # fmt: skip
    notes = (uncompared,) if uncompared else ()
    return Result("replay", Exit.DONE, _headline(data), lines=notes, data=data)


def _acts(project: Project, replayed: Replay, fault_at: int | None) -> ActsLine:
    runs = replayed.acts
    steps, false = sum(run.steps for run in runs), sum(run.false for run in runs)
    delays = [run.acted - fault_at for run in runs if run.acted is not None and fault_at is not None]
    # Runs with a fault prove nothing: where it began is a claim, and what came before it may have led to it.
    shown, notes = earned.add_replay(project, runs if fault_at is None else ())
    return ActsLine(
        steps, false, PER * upper_bound(false, steps) if steps else None,
        len(delays), median(delays) if delays else None, max(delays, default=None),
        shown.steps, shown.acts, PER * shown.bound if shown.steps else None, shown.missing, notes,
    )  # fmt: skip


def _names(rules: bank.Rules) -> list[str]:
    known = [name for name in DETECTORS if name != NOT_REPLAYED and (name != slow.NAME or rules.curve.steps)]
    return [*known, *rules.thresholds]


def _line(name: str, counted: Counted) -> DetectorLine:
    judged = counted.judged
    return DetectorLine(
        name,
        judged,
        counted.false,
        PER * counted.false / judged if judged else None,
        PER * upper_bound(counted.false, judged) if judged else None,
        len(counted.delays),
        counted.middle_delay,
        max(counted.delays, default=None),
    )


def _headline(data: ReplayData) -> Message:
    runs = trn("{count} run", "{count} runs", data.runs)
    alarms = trn("{count} alarm", "{count} alarms", sum(line.false_alarms for line in data.detectors))
    return tr("{alarms} in {rows:,} healthy steps of {runs}", alarms=alarms, rows=data.healthy, runs=runs)
