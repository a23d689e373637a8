"""When things happened in an incident: from the fault to the first healthy step of the new trainer, and on to the
verdict. Times in Unix seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from atftctl.domain.record import record
from atftctl.domain.result import Data, Reporter

# Parts of an operation in which the trainer works, or its probe: atftctl waits for it.
STOP, FIRST_STEP, GRADE = "stop", "first step", "grade"


@record
class Seconds(Data):
    """How long each part of an incident took, in seconds; null where it was not reached.

    detect: from the fault to the alarm. decide: from the alarm to the decision to roll back, which waits for the signs
    that acting needs. prepare: from then on until the trainer is stopped: the plan, the evidence. grade: of that, for
    measuring the checkpoint that is resumed from. stop: until the old trainer is gone. change: until the files are
    changed, with the snapshot before. start: until the process of the new trainer is there. first_step: until it has
    made its first step. verify: the checklist. reenable: until the first phase had passed its gate. reaction: from the
    decision to the first step. own: of that, what atftctl itself took.
    """

    detect: float | None = None
    decide: float | None = None
    prepare: float | None = None
    grade: float | None = None
    stop: float | None = None
    change: float | None = None
    start: float | None = None
    first_step: float | None = None
    verify: float | None = None
    reenable: float | None = None
    reaction: float | None = None
    own: float | None = None


class TimedReporter:
    """Passes on what is reported, and keeps when each part began."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._begun: list[tuple[str, float]] = []

    def part(self, name: str) -> None:
        self._begun.append((name, time.monotonic()))
        self._report.part(name)

    def note(self, text: str) -> None:
        self._report.note(text)

    def expect(self, total: int) -> None:
        self._report.expect(total)

    def progress(self, done: int) -> None:
        self._report.progress(done)

    def reached(self, text: str) -> None:
        self._report.reached(text)

    def graded_s(self) -> float:
        """Seconds that the probe took to grade checkpoints."""
        return sum(ended - begun for (name, begun), (_, ended) in pairwise(self._begun) if name == GRADE)


@dataclass
class Timeline:
    """What is known of the times. `fault`: when it began; `alarm`: when the watcher first named the symptom;
    `decided`: when it decided; `ended`: when its operation had ended. `parts`: seconds of the operation, by name."""

    fault: float = 0.0
    alarm: float = 0.0
    decided: float = 0.0
    ended: float = 0.0
    graded_s: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    verify_s: float | None = None
    reenable_s: float | None = None

    def seconds(self) -> Seconds:
        """How long each part took."""
        if not self.ended:
            detect = self.alarm - self.fault if self.alarm and self.fault else None
            return Seconds(detect=detect)
        parts, reaction = self.parts, self.ended - self.decided
        stop, first = parts.get(STOP, 0.0), parts.get(FIRST_STEP, 0.0)
        change = sum(parts.get(name, 0.0) for name in ("snapshot", "files", "packages"))
        start = parts.get("start", 0.0)
        return Seconds(
            detect=max(0.0, self.alarm - self.fault),
            decide=max(0.0, self.decided - self.alarm),
            prepare=max(0.0, reaction - stop - first - change - start),
            grade=self.graded_s,
            stop=stop,
            change=change,
            start=start,
            first_step=first,
            verify=self.verify_s,
            reenable=self.reenable_s,
            reaction=reaction,
            own=max(0.0, reaction - stop - first - self.graded_s),
        )
