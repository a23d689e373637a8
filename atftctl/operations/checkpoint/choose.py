"""Choose the checkpoint that a rollback resumes from: the newest one that has the grade that was asked for.

The choice is made once, when the plan is made. Under the lock it is only checked: what the operator has seen is what is
done, also where the trainer has saved again meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from atftctl.decide.plans import by_checkpoint
from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.checkpoint import Checkpoint, Checkpoints, Content, Grade, Ladder, reaches
from atftctl.domain.errors import NothingLeft, Refused
from atftctl.domain.facts import Facts
from atftctl.domain.plan import Plan
from atftctl.domain.record import record
from atftctl.domain.resuming import Resuming
from atftctl.domain.runbook import Files, Resume, ResumeFrom
from atftctl.domain.text import listed
from atftctl.host.errors import HostError
from atftctl.host.files.reading import read_bytes
from atftctl.host.yaml_text.read import MAX_BYTES, read
from atftctl.observe.checkpoints import ladder as ladders
from atftctl.observe.checkpoints import patterns
from atftctl.observe.checkpoints.content import content_of
from atftctl.operations.change.preview import render
from atftctl.operations.checkpoint.grader import Grader, Outcome
from atftctl.operations.project import Project
from atftctl.operations.request import Request
from atftctl.protocol import config_digest, merge_settings, placed
from atftctl.protocol.messages import Message, tr, trn
from atftctl.state import grades

MOST_NOTES = 3  # checkpoints that were passed over and are named


@record
class Wanted:
    """What is asked for: where to resume by the runbook, the least grade ("": whole), how many rungs to go back, and
    the step that it must be before; None for any. `tried`: copies in snapshots that were resumed from already."""

    resume: ResumeFrom
    floor: Grade = ""
    back: int = 0
    before: int | None = None
    tried: frozenset[str] = frozenset()

    @property
    def grade(self) -> Grade:
        return self.floor or "whole"


class Chooser:
    """Chooses one checkpoint for one rollback."""

    def __init__(self, project: Project, wanted: Wanted, policy: RestartPolicy, request: Request) -> None:
        self._project, self._wanted, self._policy, self._request = project, wanted, policy, request
        self._chosen: Resuming | None = None
        self._grader: Grader | None = None

    def __call__(self, facts: Facts, settings: Plan | None) -> Resuming:
        """Return the choice. `settings`: the plan of the settings that change with it, which are those to measure with.

        Raises Refused where no checkpoint has the grade, or the chosen one has changed since.
        """
        by_checkpoint.refuse_running(facts, self._policy, self._rules.last)
        if self._chosen is None:
            contents = render(self._project, settings).contents if settings else {}
            self._chosen = self._choose(facts, contents)
        else:
            self._require_unchanged(self._chosen)
        return self._chosen

    def keep(self, plan: Plan) -> None:
        """Record what was measured; called under the lock. Raises nothing: it would be measured again."""
        del plan
        if self._grader and self._grader.new:
            with suppress(OSError, HostError):
                grades.record(self._project.layout, *self._grader.new)

    @property
    def _rules(self) -> Checkpoints:
        return self._project.runbook.checkpoints

    def _choose(self, facts: Facts, contents: Mapping[str, bytes | Path]) -> Resuming:
        layout, wanted = self._project.layout, self._wanted
        ladder = ladders.ladder(layout, self._rules)
        candidates = self._candidates(ladder)
        configs = [config_of(self._project, contents, name) for name in self._project.runbook.files.configs]
        self._grader = Grader(
            self._project,
            ladder,
            configs,
            digest_of(configs, self._project.runbook.files),
            self._rules.limit_s,
            again=False,
        )
        outcomes: list[tuple[Checkpoint, Outcome]] = []
        for candidate in candidates:
            if wanted.grade != "whole" and not self._grader.broken:
                self._request.report.note(
                    tr("checking {path} (grade {grade})", path=candidate.path, grade=wanted.grade)
                )
            self._request.report.part("grade")
            outcome = self._grader.reach(candidate, wanted.grade)
            self._request.report.part("decide")
            notes = _passed_over(outcomes, wanted.grade)
            if (
                outcome.good is None and wanted.grade == "whole" and not outcome.gone
            ):  # what was not graded counts as whole
                notes = (*notes, tr("{path}: {reason}", path=candidate.path, reason=outcome.reason))
                return self._resuming(facts, ladder, candidate, outcome, notes)
            if outcome.good:
                return self._resuming(facts, ladder, candidate, outcome, notes)
            outcomes.append((candidate, outcome))
        if any(outcome.graded is not None and outcome.good is False for _, outcome in outcomes):
            self._keep_refused()
            raise _none_good(outcomes, wanted.grade)
        if fallback := self._fallback(outcomes):
            candidate, outcome = fallback
            notes = (*_passed_over(outcomes, wanted.grade, candidate), _doubt(candidate, outcome, wanted.grade))
            return self._resuming(facts, ladder, candidate, outcome, notes)
        raise _none_good(outcomes, wanted.grade)

    def _keep_refused(self) -> None:
        """Record what was measured although nothing will be changed: the next attempt goes on from there."""
        if not self._request.dry_run and self._grader:
            with suppress(OSError, HostError):
                grades.record(self._project.layout, *self._grader.new)

    def _candidates(self, ladder: Ladder) -> list[Checkpoint]:
        """The checkpoints that may be taken, the first choice first. Raises Refused where the ladder is too short."""
        rungs, back = list(ladder.rungs), self._wanted.back
        if back and back >= len(rungs):
            oldest = tr("the oldest one: --back {count}", count=len(rungs) - 1) if len(rungs) > 1 else ""
            raise NothingLeft(
                trn(
                    "--back {back}: there is only {count} checkpoint to go back over",
                    "--back {back}: there are only {count} checkpoints to go back over",
                    max(0, len(rungs) - 1),
                    back=back,
                ),
                hint=oldest or tr("see the checkpoints: atftctl checkpoint list"),
            )
        best = [
            checkpoint
            for checkpoint in ladder.others
            if checkpoint.path == patterns.resolved(self._project.layout, self._rules)[0].best
        ]
        candidates = [*best, *rungs] if self._wanted.resume == "best" and not back else rungs[back:]
        candidates = [copy for candidate in candidates for copy in (candidate, *ladder.copies_of(candidate))]
        before = self._wanted.before
        if before is None:
            return candidates
        return [candidate for candidate in candidates if candidate.step is not None and candidate.step < before]

    def _fallback(self, outcomes: list[tuple[Checkpoint, Outcome]]) -> tuple[Checkpoint, Outcome] | None:
        """Where nothing could be measured: the newest one with a record of the grade from other settings, else the
        newest whole one. None where all were measured, or none is whole."""
        unknown = [(checkpoint, outcome) for checkpoint, outcome in outcomes if outcome.good is None and outcome.grade]
        for checkpoint, outcome in unknown:
            recorded = self._grader.any_of(outcome.content.sha256) if self._grader else None
            if recorded and reaches(recorded.grade, self._wanted.grade):
                return checkpoint, Outcome(None, recorded.grade, outcome.reason, outcome.content, recorded)
        return unknown[0] if unknown else None

    def _resuming(
        self, facts: Facts, ladder: Ladder, chosen: Checkpoint, outcome: Outcome, notes: tuple[Message, ...]
    ) -> Resuming:
        """How the trainer gets the chosen one: as it is, or put in place of the last one."""
        rules, content = patterns.resolved(self._project.layout, self._rules)[0], outcome.content
        present = _present(self._project, rules.last)
        notes = (*notes, _chosen_note(chosen, outcome))
        source: Checkpoint | None = chosen
        resume: Resume = "last"
        if chosen.path == rules.best and self._wanted.resume == "best" and not self._wanted.back:
            resume, source = "best", None
        elif facts.process.may_save and chosen.path == rules.last:
            # The trainer saves once more when it stops: what was measured lies in the history under another name.
            source = next((copy for copy in ladder.copies if copy.identity == chosen.identity), None)
            if self._wanted.floor and source is None:
                text = tr("the trainer saves {path} once more when it stops; that one is not graded", path=rules.last)
                notes = (*notes, text)
        elif not facts.process.may_save and present is not None and present.sha256 == content.sha256:
            source = None
        if source:
            by_checkpoint.refuse_pattern(self._rules.last, source)
            by_checkpoint.refuse_folder(facts, source, rules.last)
        targets = by_checkpoint.targets_of(rules.last, source, content, present) if source else ()
        return Resuming(resume, targets, chosen.path, chosen.step, outcome.grade, notes)

    def _require_unchanged(self, chosen: Resuming) -> None:
        """Raises Refused where a file of the choice is gone, or is another one by now."""
        for target in chosen.targets:
            if target.copy:
                try:
                    digest = content_of(self._project.layout.root / target.copy).sha256
                except FileNotFoundError:
                    digest = ""
                if digest != target.new:
                    raise Refused(
                        tr("{path} was removed or replaced since the plan was shown", path=target.copy),
                        hint=tr("run this command again and review the new plan"),
                    )


def _present(project: Project, last: str) -> Content | None:
    """What the last checkpoint holds; None where there is none."""
    try:
        return content_of(project.layout.place(last))
    except FileNotFoundError:
        return None


def config_of(project: Project, contents: Mapping[str, bytes | Path], name: str) -> bytes:
    """A config file as it is to be. `contents`: of those that change. Raises HostError, OSError."""
    content = contents.get(name, project.layout.place(name))
    return content if isinstance(content, bytes) else read_bytes(content, MAX_BYTES + 1)


def digest_of(configs: list[bytes], files: Files) -> str:
    """The digest of the settings in these config files, in the order of the runbook."""
    return config_digest(
        merge_settings(
            placed(read(text).value or {}, files.namespace(name))
            for name, text in zip(files.configs, configs, strict=True)
        )
    )


def _passed_over(
    outcomes: list[tuple[Checkpoint, Outcome]], grade: Grade, chosen: Checkpoint | None = None
) -> tuple[Message, ...]:
    """A note for each newer checkpoint that is not taken, the newest ones first."""
    newer = list(takewhile(lambda entry: entry[0] is not chosen, outcomes))
    notes = [
        tr("{path} is not taken: {reason}", path=checkpoint.path, reason=outcome.reason)
        for checkpoint, outcome in newer
    ]
    if len(notes) <= MOST_NOTES:
        return tuple(notes)
    more = trn(
        "{count} more checkpoint is not of grade {grade}",
        "{count} more checkpoints are not of grade {grade}",
        len(notes) - MOST_NOTES,
        grade=grade,
    )
    return (*notes[:MOST_NOTES], more)


def _chosen_note(chosen: Checkpoint, outcome: Outcome) -> Message:
    """Which checkpoint was chosen, and what is known of it."""
    step = tr("step {step}", step=chosen.step) if chosen.step is not None else tr("its step is not known")
    values = {"path": chosen.path, "step": step, "grade": outcome.grade or "?"}
    if outcome.seconds:
        seconds = f"{outcome.seconds:.0f}"
        return tr(
            "the trainer resumes from {path} ({step}): grade {grade}, measured in {seconds} s",
            seconds=seconds,
            **values,
        )
    return tr("the trainer resumes from {path} ({step}): grade {grade}", **values)


def _doubt(chosen: Checkpoint, outcome: Outcome, grade: Grade) -> Message:
    """That the chosen one was not measured, and why."""
    if outcome.graded is not None:
        return tr(
            "nothing can be measured now ({reason}); {path} had grade {grade} with other settings, at {time}",
            reason=outcome.reason,
            path=chosen.path,
            grade=outcome.grade,
            time=outcome.graded.at.replace("T", " ")[:16],
        )
    return tr(
        "{path} could not be graded ({reason}): it is only known to be whole, not to be of grade {grade}",
        path=chosen.path,
        reason=outcome.reason,
        grade=grade,
    )


def _none_good(outcomes: list[tuple[Checkpoint, Outcome]], grade: Grade) -> Refused:
    reasons = [f"{checkpoint.path}: {outcome.reason}" for checkpoint, outcome in outcomes]
    if not reasons:
        text = tr("there is no checkpoint to resume from")
    elif any(outcome.good is None for _, outcome in outcomes):
        count = sum(outcome.good is None for _, outcome in outcomes)
        text = trn(
            "no checkpoint of grade {grade} was found, and {count} could not be measured: {reasons}",
            "no checkpoint of grade {grade} was found, and {count} could not be measured: {reasons}",
            count,
            grade=grade,
            reasons=listed(reasons[::-1], 2),
        )
        return Refused(text, hint=tr("run this command again: what was measured is kept; or: atftctl checkpoint grade"))
    else:
        text = tr("no checkpoint is of grade {grade}: {reasons}", grade=grade, reasons=listed(reasons, 3))
    return NothingLeft(
        text, hint=tr("restore a snapshot: atftctl rollback --to last-good; or list them: atftctl backup list")
    )
