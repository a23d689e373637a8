"""`replay --tune`: thresholds for the runbook, by past runs. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from atftctl.decide.diagnosis.tuning import Outcome, Proposal, Sweep, proposals, yaml_lines
from atftctl.domain.detector_rules import Detection
from atftctl.domain.record import record
from atftctl.domain.result import Data, Reporter, Result
from atftctl.domain.text import listed
from atftctl.operations.monitoring.past_runs import PER, feed_all, nothing_to_judge, rules_for
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr, trn


@record
class ThresholdOutcome(Data):
    """What one threshold would have done.

    value: the threshold. false_alarms: on healthy steps. detected: runs whose fault it saw. delay: the median of the
    steps until then, or null. worst: the longest of them, or null.
    """

    value: float
    false_alarms: int
    detected: int
    delay: float | None
    worst: int | None


@record
class ThresholdLine(Data):
    """One threshold.

    detector: its detector. key: in the section `detection` of the runbook. judged: healthy steps with a value that the
    detector judged. old: the threshold now. new: the proposed one. proven: whether false alarms are rare enough with
    it. upper: the upper 95 % bound of them in 10,000 steps. held_out: false alarms on each run of the threshold that
    the other runs propose. held_out_upper: their bound in 10,000 steps. more_steps: healthy steps that are needed to
    prove it, in addition; 0 for none.
    """

    detector: str
    key: str
    judged: int
    old: ThresholdOutcome
    new: ThresholdOutcome
    proven: bool
    upper: float
    held_out: int
    held_out_upper: float
    more_steps: int


@record
class TuneData(Data):
    """Data of `replay --tune`.

    rows: of metrics. healthy: how many of them count as healthy. runs: of a trainer; faulty: how many of them reached
    the fault. thresholds: what is proposed for each. yaml: the lines for the runbook; empty where nothing changes.
    torn: lines of the files that were no rows.
    """

    rows: int
    healthy: int
    runs: int
    faulty: int
    thresholds: tuple[ThresholdLine, ...]
    yaml: tuple[str, ...]
    torn: int


def tune(project: Project, paths: Sequence[Path], fault_at: int | None, report: Reporter) -> Result:
    """Propose thresholds by these runs, healthy up to the step `fault_at`, or throughout. Raises as `replay`."""
    rules, uncompared = rules_for(project, paths)
    sweep = Sweep(rules, fault_at)
    torn = feed_all(project.layout, paths, rules.columns, sweep.feed, report)
    made = proposals(sweep)
    if not made:
        raise nothing_to_judge(rules, paths)
    present = project.runbook.detection
    chosen = _settings(present, made)
    data = TuneData(
        sweep.rows, sweep.healthy, sweep.runs, sweep.faulty, tuple(map(_line, made)), tuple(yaml_lines(chosen)), torn
    )
    lines = [*(text for proposal in made for text in _notes(proposal, sweep.faulty))]
    if uncompared:
        lines.append(uncompared)
    return Result("replay", Exit.DONE, _headline(data, chosen, present), lines=tuple(lines), data=data)


def _settings(present: Detection, made: Sequence[Proposal]) -> dict[str, float]:
    """The section of the runbook as it would be: what it holds already, and the proposals; without the defaults. Empty
    where nothing changes."""
    wanted = {name: getattr(present, name) for name in Detection.__dataclass_fields__}
    if all(wanted[proposal.key] == proposal.new.value for proposal in made):
        return {}
    wanted |= {proposal.key: proposal.new.value for proposal in made}
    default = Detection()
    changed = {proposal.key for proposal in made if proposal.new.value != proposal.old.value}
    return {key: value for key, value in wanted.items() if key in changed or value != getattr(default, key)}


def _headline(data: TuneData, chosen: dict[str, float], present: Detection) -> Message:
    runs = trn("{count} run", "{count} runs", data.runs)
    changed = [key for key in chosen if getattr(present, key) != chosen[key]]
    if not changed:
        return tr("no threshold needs to change, by {rows:,} healthy steps of {runs}", rows=data.healthy, runs=runs)
    return tr("proposed by {rows:,} healthy steps of {runs}: other values for {keys}",
              rows=data.healthy, runs=runs, keys=listed(changed, 6))  # fmt: skip


def _notes(proposal: Proposal, faulty: int) -> list[Message]:
    """What has to be said of a proposal."""
    notes = []
    if proposal.exhausted:
        notes.append(tr("{detector}: no threshold up to {value:g} is enough",
                        detector=proposal.detector, value=proposal.new.value))  # fmt: skip
    if not proposal.proven and proposal.more:
        notes.append(tr("{detector}: {steps:,} more healthy steps are needed to prove 1 false alarm in 10,000 steps",
                        detector=proposal.detector, steps=proposal.more))  # fmt: skip
    if faulty and proposal.new.seen < proposal.old.seen:
        notes.append(tr("{detector}: with {value:g} it sees {new} of the faults, now {old}", detector=proposal.detector,
                        value=proposal.new.value, new=proposal.new.seen, old=proposal.old.seen))  # fmt: skip
    return notes


def _line(proposal: Proposal) -> ThresholdLine:
    return ThresholdLine(
        proposal.detector, proposal.key, proposal.judged, _outcome(proposal.old), _outcome(proposal.new),
        proposal.proven, PER * proposal.bound, proposal.held_out, PER * proposal.held_out_bound,
        proposal.more,
    )  # fmt: skip


def _outcome(outcome: Outcome) -> ThresholdOutcome:
    return ThresholdOutcome(outcome.value, outcome.false, outcome.seen, outcome.delay, outcome.worst)
