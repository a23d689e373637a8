"""Grade checkpoints on demand: by what is recorded, else by a look at the bytes, else by the trainer's probe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from atftctl.decide.verdicts import grade as verdicts
from atftctl.domain.checkpoint import Checkpoint, Content, Grade, Graded, Ladder, reaches
from atftctl.domain.record import record
from atftctl.observe.checkpoints import ladder as ladders
from atftctl.observe.checkpoints.grading import GradeRequest, measure
from atftctl.operations.checkpoint import quality
from atftctl.operations.project import Project, now
from atftctl.protocol import TrainerExit
from atftctl.protocol.messages import tr
from atftctl.state import grades

LEAST_S = 1.0  # with less time left, no probe is started


@record
class Outcome:
    """Does a checkpoint have a grade? `good`: None where that could not be found out. `grade`: the one it has, as far
    as that is known. `seconds`: how long measuring took; 0 for what was known. `gone`: it was removed meanwhile."""

    good: bool | None
    grade: Grade
    reason: str = ""
    content: Content = Content()
    graded: Graded | None = None
    seconds: float = 0.0
    gone: bool = False


class Grader:
    """Grades checkpoints with one set of settings, within `limit_s` seconds in all.

    `new`: what was measured, to be recorded. `broken`: why nothing more can be measured; "" while it can.
    """

    def __init__(
        self, project: Project, ladder: Ladder, configs: Sequence[bytes], digest: str, limit_s: float, *, again: bool
    ) -> None:
        """`configs`: the config files to measure with; `digest`: of their settings. `again`: also what is recorded."""
        self._project, self._ladder, self._configs, self._digest = project, ladder, configs, digest
        self._known = {} if again else dict(grades.read(project.layout))
        self._deadline = time.monotonic() + limit_s
        self._limit_s = limit_s
        self.new: list[Graded] = []
        self.broken = ""

    def reach(self, checkpoint: Checkpoint, floor: Grade) -> Outcome:
        """Find out whether a checkpoint has at least this grade; measure it only where it must be."""
        try:
            content = ladders.content(self._project.layout, checkpoint, self._ladder.saves)
        except FileNotFoundError:
            return Outcome(None, "", tr("it was removed or replaced meanwhile, by a newer one"), gone=True)
        if content.damage:
            return Outcome(False, "", content.damage, content)
        known = self._known.get((content.sha256, self._digest))
        whole: Grade = "whole" if content.proven or self.any_of(content.sha256) else ""
        if known and reaches(known.grade, floor):
            return Outcome(True, known.grade, "", content, known)
        if known and known.failed and reaches(floor, known.failed):
            return Outcome(False, known.grade, known.reason, content, known)
        if floor == "whole":
            text = tr("nothing shows that it is whole: it is no zip or safetensors file, and its hash is not known")
            return Outcome(True if whole else None, whole, "" if whole else text, content)
        if self.broken:
            return Outcome(None, whole, self.broken, content)
        return self._measured(checkpoint, content, known, floor)

    def any_of(self, sha256: str) -> Graded | None:
        """The highest grade that is recorded for a checkpoint with any settings; None where none is."""
        known = [graded for (digest, _), graded in self._known.items() if digest == sha256]
        return max(known, key=lambda graded: verdicts.rank(graded.grade), default=None)

    def _measured(self, checkpoint: Checkpoint, content: Content, known: Graded | None, floor: Grade) -> Outcome:
        begun = time.monotonic()
        outcome = Outcome(True, known.grade, "", content, known) if known else Outcome(None, "", "", content)
        if not known or not reaches(known.grade, "steps" if floor != "loads" else "loads"):
            outcome = self._by_steps(checkpoint, content, 0 if floor == "loads" else self._steps)
        if floor == "quality" and outcome.good and outcome.graded:
            outcome = self._by_quality(checkpoint, outcome, outcome.graded)
        if outcome.graded and outcome.graded is not known:
            stamped = replace(outcome.graded, at=now().isoformat(timespec="seconds"))
            self.new.append(stamped)
            self._known[stamped.sha256, stamped.config] = stamped
            outcome = replace(outcome, graded=stamped)
        return replace(outcome, seconds=time.monotonic() - begun)

    @property
    def _steps(self) -> int:
        return self._project.runbook.checkpoints.steps

    def _by_steps(self, checkpoint: Checkpoint, content: Content, steps: int) -> Outcome:
        """Load the checkpoint, and take the steps; 0 for none."""
        runbook = self._project.runbook
        left = self._deadline - time.monotonic()
        if left < LEAST_S:
            self.broken = tr("the time for grading is over ({limit_s:g} s)", limit_s=self._limit_s)
            return Outcome(None, "whole", self.broken, content)
        request = GradeRequest(checkpoint.path, self._configs, steps, min(left, runbook.checks.probe_limit_s))
        measured = measure(self._project.layout, runbook, request)
        if measured.missing and not measured.crashed and (self._project.layout.root / checkpoint.path).exists():
            self.broken = measured.missing
        if measured.missing:
            return Outcome(None, "whole", measured.missing, content)
        limit = runbook.checks.grad_norm_max
        judged = verdicts.judge(
            self._hash_of(measured.answer, content), measured.answer, steps=steps, grad_norm_max=limit,
            config=self._digest,
        )  # fmt: skip
        if judged is None:
            short = measured.answer.get("exit_code") == TrainerExit.OUT_OF_MEMORY
            text = tr("the memory ran out while it was graded") if short else tr("it was replaced while it was graded")
            return Outcome(None, "whole", text, content)
        judged = replace(judged, sha256=content.sha256)
        good: bool | None = reaches(judged.grade, "steps" if steps else "loads")
        if not good and not judged.failed:
            good = None
        return Outcome(good, judged.grade, judged.reason, content, judged)

    def _hash_of(self, answer: Mapping[str, object], content: Content) -> str:
        """The hash that the probe must have seen. Of a folder it may report none, or its own."""
        return content.sha256 if not content.folder else str(answer.get("sha256"))

    def _by_quality(self, checkpoint: Checkpoint, outcome: Outcome, graded: Graded) -> Outcome:
        verdict, reason = quality.judge(self._project, checkpoint.path, graded.sha256, self._configs)
        if verdict is None:
            return replace(outcome, good=None, reason=reason)
        if not verdict:
            failed = replace(graded, failed="quality", reason=reason[:300])
            return replace(outcome, good=False, reason=reason, graded=failed)
        return replace(outcome, grade="quality", graded=replace(graded, grade="quality", reason=reason[:300]))
