"""`checkpoint grade`: measure checkpoints, and keep what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from atftctl.domain.checkpoint import GRADES, Checkpoint, Grade
from atftctl.domain.errors import UsageError
from atftctl.domain.record import record
from atftctl.domain.result import Data, Result
from atftctl.domain.text import nearest
from atftctl.observe.checkpoints import ladder as ladders
from atftctl.observe.configs import digest, read_configs
from atftctl.operations.change.project_lock import locked
from atftctl.operations.checkpoint.choose import config_of
from atftctl.operations.checkpoint.grader import Grader, Outcome
from atftctl.operations.checkpoint.report import CheckpointLine, find, line_of
from atftctl.operations.project import Project, refuse_open, require_readable
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, tr
from atftctl.state import grades, held_checkpoints

HOUR_S = 3600.0  # for all checkpoints together; each probe has the limit of the runbook


@record
class CheckpointGradeData(Data):
    """Data of `checkpoint grade`. to: the grade that was asked for. checkpoints: as in `checkpoint list`, after the
    measurement. unknown: why a checkpoint could not be measured, by its path."""

    to: str
    checkpoints: tuple[CheckpointLine, ...]
    unknown: dict[str, str]


def grade(project: Project, names: Sequence[str], to: str, request: Request) -> Result:
    """Measure these checkpoints, or all that the present run came by, up to a grade. Raises UsageError for an unknown
    grade or name, Refused for an unreadable config and an unfinished operation."""
    wanted = grade_of(to)
    files = read_configs(project.layout.root, project.runbook.files)
    require_readable(project, files)
    refuse_open(project)
    ladder = ladders.ladder(project.layout, project.runbook.checkpoints)
    chosen = find(ladder, names) if names else list(ladder.rungs)
    configs = [config_of(project, {}, name) for name in project.runbook.files.configs]
    grader = Grader(project, ladder, configs, digest(files), HOUR_S, again=True)
    with held_checkpoints.held(project.layout, [checkpoint.path for checkpoint in chosen]) as places:
        outcomes = [
            (checkpoint, _measured(grader, checkpoint, places.get(checkpoint.path, ""), wanted, request))
            for checkpoint in chosen
        ]
        if grader.new:
            with locked(project, "checkpoint grade", request):
                grades.record(project.layout, *grader.new)
        lines = [line_of(project, ladder, checkpoint, places.get(checkpoint.path, "")) for checkpoint in chosen]
    return _result(tuple(line for line in lines if line), outcomes, wanted)


def grade_of(text: str) -> Grade:
    """The grade of this name. Raises UsageError for any other word."""
    for known in GRADES:
        if known and known == text:
            return known
    raise UsageError(tr("there is no grade {name!r}", name=text), hint=nearest(text, GRADES[1:]))


def _measured(grader: Grader, checkpoint: Checkpoint, place: str, wanted: Grade, request: Request) -> Outcome:
    """Measure a checkpoint that is held at another path, `place`; "" where it is not."""
    request.report.part(checkpoint.name)
    outcome = grader.reach(replace(checkpoint, path=place or checkpoint.path), wanted)
    if outcome.good is None and not outcome.reason:
        outcome = replace(outcome, reason=tr("too few steps were measured"))
    return outcome


def _said(outcome: Outcome) -> Message:
    if outcome.good:
        return tr("grade {grade}", grade=outcome.grade)
    if outcome.good is None:
        return tr("not measured: {reason}", reason=outcome.reason)
    if not outcome.grade:
        return tr("damaged: {reason}", reason=outcome.reason)
    return tr("only grade {grade}: {reason}", grade=outcome.grade, reason=outcome.reason)


def _result(lines: tuple[CheckpointLine, ...], outcomes: Sequence[tuple[Checkpoint, Outcome]], wanted: Grade) -> Result:
    bad = [checkpoint for checkpoint, outcome in outcomes if outcome.good is False]
    unknown = {checkpoint.path: str(outcome.reason) for checkpoint, outcome in outcomes if outcome.good is None}
    code = Exit.CHECK_FAILED if bad else Exit.INCONCLUSIVE if unknown or not outcomes else Exit.DONE
    good = len(outcomes) - len(bad) - len(unknown)
    headline = tr("{good} of {count} checkpoints are of grade {grade}", good=good, count=len(outcomes), grade=wanted)
    if not outcomes:
        headline = tr("there is no checkpoint to grade")
    said = tuple(
        tr("{path}: {outcome}", path=checkpoint.path, outcome=_said(outcome)) for checkpoint, outcome in outcomes
    )
    data = CheckpointGradeData(wanted, lines, unknown)
    return Result("checkpoint grade", code, headline, lines=said, data=data)
