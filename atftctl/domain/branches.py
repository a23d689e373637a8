"""The history of a trainer's metrics: its runs, and the branches that they made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from atftctl.domain.record import record


@record
class Run:
    """One start of the trainer, from its events. `from_step`: the step that it resumed from; 0 for none. `source`: the
    checkpoint that it resumed from. `parent`: the generation that saved this checkpoint; 0 where that is not known.
    `times`: (step, time in unix seconds) of its events, as they were written. `stopped`: it has a last event."""

    generation: int
    from_step: int
    source: str
    times: tuple[tuple[int, float], ...]
    parent: int = 0
    stopped: bool = False

    @property
    def started(self) -> float:
        return self.times[0][1]

    @property
    def legs(self) -> list[Run]:
        """The run, cut where its step goes back: there it took up an earlier checkpoint without a restart."""
        cuts = [at for at in range(1, len(self.times)) if self.times[at][0] < self.times[at - 1][0]]
        parts = [self.times[begin:end] for begin, end in pairwise([0, *cuts, len(self.times)])]
        later = [replace(self, times=part, from_step=part[0][0], parent=0) for part in parts[1:]]
        return [replace(self, times=parts[0]), *later]

    @property
    def furthest(self) -> int:
        """The greatest step that an event names."""
        return max(step for step, _ in self.times)


@record
class Branch:
    """Rows of the metrics that follow each other: those of one start of the trainer.

    `name`: what people call it, the generation where that is known. `begin`, `end`: its rows, by their number in the
    table. `kept_to`: the last step of it that the newest branch descends from; None where it descends from none.
    `came_from`: the name of the branch that it goes on from; "" for none. `runs`: the starts whose rows it holds; more
    than one where a start went on exactly where the last one ended, and the rows have no generation. `written`: when
    the last row was written, in Unix seconds; None where only events may tell.
    """

    name: str
    generation: int
    begin: int
    end: int
    first_step: int
    last_step: int
    kept_to: int | None = None
    came_from: str = ""
    runs: tuple[Run, ...] = ()
    step_s: float | None = None  # median of the seconds that a step took; None where that was not measured
    written: float | None = None

    @property
    def from_step(self) -> int:
        """The step that it goes on from; 0 for a start from new weights."""
        return self.runs[0].from_step if self.runs else max(0, self.first_step - 1)  # some trainers count from 0

    @property
    def spacing(self) -> float:
        """The steps from one row to the next: a trainer may write a row for each fiftieth step only."""
        return (self.last_step - self.first_step) / max(1, self.end - self.begin - 1)

    @property
    def discarded(self) -> int:
        """How many training steps were given up."""
        if self.kept_to is None:
            return self.last_step - self.first_step + 1
        return max(0, self.last_step - max(self.kept_to, self.first_step - 1))

    @property
    def cost_s(self) -> float | None:
        """The seconds of training that were given up; None where that was not measured."""
        if not self.discarded:
            return 0.0
        return None if self.step_s is None else self.discarded * self.step_s

    @property
    def times(self) -> tuple[tuple[int, float], ...]:
        """(step, time) of known moments, steps and times rising; the last one is that of the last row, where that is
        known or can be told from the time that a step took. Empty where the events say nothing."""
        known = tuple(_rising(moment for run in self.runs for moment in run.times))
        if not known or known[-1][0] >= self.last_step:
            return known
        step, time = known[-1]
        ends = [] if self.step_s is None else [time + (self.last_step - step) * self.step_s]
        if self.written is not None and self.written >= time and not self.runs[-1].stopped:
            ends.append(self.written)  # of a run that stopped, the file may be a copy
        return (*known, (self.last_step, max(ends))) if ends else known

    def is_timed(self, since: float) -> bool:
        """Is it known which of the rows were written since this time?"""
        times = self.times
        return bool(times) and (times[-1][0] >= self.last_step or since <= times[-1][1])


def _rising(moments: Iterator[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Moments whose step and time are not less than those before them: a clock may jump."""
    before: tuple[int, float] | None = None
    for moment in moments:
        if before is None or (moment[0] >= before[0] and moment[1] >= before[1]):
            before = moment
            yield moment


def history_of(branches: Sequence[Branch]) -> list[Branch]:
    """The branches that the newest one descends from, and itself, the oldest first."""
    return [branch for branch in branches if branch.kept_to is not None]
