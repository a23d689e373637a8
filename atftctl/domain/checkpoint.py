"""Checkpoints: the ladder that they make, and the grades that were measured of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.branches import Run
from atftctl.domain.record import record
from atftctl.protocol import BEST, LAST
from atftctl.protocol.checkpoints import HISTORY

# Each grade includes those before it. "": none was reached, or nothing is known.
Grade = Literal["", "whole", "loads", "steps", "quality"]
GRADES: tuple[Grade, ...] = ("", "whole", "loads", "steps", "quality")

LEAST_STEPS = 25  # for the grade `steps`: weights that diverge only after 20 steps must not pass


def reaches(grade: Grade, floor: Grade) -> bool:
    """Is a grade at least as high as another?"""
    return GRADES.index(grade) >= GRADES.index(floor)


def is_pattern(name: str) -> bool:
    """Does this path of the runbook stand for all paths that match it?"""
    return any(character in name for character in "*?[")


@record
class Checkpoints:
    """Where the trainer's checkpoints are, relative to the project. `last`, `best`: those that it resumes from.
    `history`: the folder with earlier ones. Each may be a file or a folder, or a pattern: of `last` and `best` the
    newest match counts, of `history` each. `steps`: training steps for the grade
    `steps`. `limit_s`: seconds that grading may take before a rollback goes on without it."""

    last: str = LAST
    best: str = BEST
    history: str = HISTORY
    steps: int = 40
    limit_s: float = 120.0

    def hold(self, path: str) -> bool:
        """Is this what the trainer resumes from, or a file in it? The trainer writes it, also where it is no model that
        snapshots hold."""
        if f"{path}/".startswith((f"{self.last}/", f"{self.best}/")):
            return True
        patterns = [name for name in (self.last, self.best) if is_pattern(name)]
        return any(fnmatch.fnmatchcase(path, form) for name in patterns for form in (name, f"{name}/*"))


@record
class Graded:
    """What was measured of one checkpoint, by its SHA-256.

    `grade`: the highest grade that it reached. `failed`: the grade that it did not reach, with the `reason`; "" where
    none was refused. `config`: the digest of the settings that it was measured with; "" for what depends on none. `at`:
    when, as ISO 8601. `steps`: the training steps that were taken.
    """

    sha256: str
    grade: Grade
    failed: Grade = ""
    reason: str = ""
    config: str = ""
    at: str = ""
    steps: int = 0

    def to_json(self) -> dict[str, Any]:
        """As the state file holds it."""
        return dict(vars(self))

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Graded:
        """Read what `to_json` wrote. Raises ValueError, TypeError."""
        graded = Graded(**body)
        texts = (graded.sha256, graded.reason, graded.config, graded.at)
        if not all(isinstance(text, str) for text in texts) or type(graded.steps) is not int:
            raise ValueError("not a grade")
        if graded.grade not in GRADES or graded.failed not in GRADES:
            raise ValueError("no such grade")
        return graded


def outweighs(new: Graded, known: Graded) -> bool:
    """Does a new measurement take the place of the known one? A failure does. A success takes the place of a failure
    only where it went as far in as many steps, and of a success where it reached as high."""
    if new.failed:
        return True
    if known.failed:
        return reaches(new.grade, known.failed) and new.steps >= known.steps
    return reaches(new.grade, known.grade)


@record
class Checkpoint:
    """One checkpoint on disk: a file, or a folder of files.

    `path`: relative to the project. `size`: in bytes. `saved`: when it was written, in Unix seconds. `step`, and
    `generation` of the trainer that saved it: None and 0 where that is not known. `identity`: device and inode.
    `folder`: it is a folder.
    """

    path: str
    size: int
    saved: float
    step: int | None = None
    generation: int = 0
    identity: tuple[int, int] = (0, 0)
    folder: bool = False

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


@record
class Content:
    """What a checkpoint holds, as far as it can be seen without loading it.

    `sha256`: of the file; of a folder, over the names and hashes of its files. `damage`: what is damaged; "" where
    nothing is. `proven`: CRCs or a known hash show that it is whole; without either of them nothing is known. `files`:
    the SHA-256 of each file by its path in the folder; of a file, by "". `folder`: it is a folder. `note`: what the
    proof leaves open.
    """

    sha256: str = ""
    damage: str = ""
    proven: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    folder: bool = False
    note: str = ""

    @property
    def unreadable(self) -> bool:
        """Is it nothing that could be read: a symlink, a pipe, or a file without permission to read it?"""
        return not self.sha256 and not self.folder


@record
class Save:
    """One checkpoint that the trainer reported: the path, its SHA-256, the step, the generation, and the time."""

    path: str
    sha256: str
    step: int
    generation: int
    time: float


@record
class Ladder:
    """The checkpoints of a project. `rungs`: those that the run in service came by, the newest first; the first is what
    it would resume from. `others`: the best one, and those of runs that were given up. `copies`: further names
    of the first rung, and copies of any. `left_out`: path → reason. `saves`, `runs`: what the trainer's events say."""

    rungs: tuple[Checkpoint, ...] = ()
    others: tuple[Checkpoint, ...] = ()
    copies: tuple[Checkpoint, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    saves: tuple[Save, ...] = ()
    runs: tuple[Run, ...] = ()

    def copies_of(self, checkpoint: Checkpoint) -> list[Checkpoint]:
        """Further files that hold the same checkpoint: one of them may be whole where the other is damaged."""
        place = (checkpoint.step, checkpoint.generation)
        known = checkpoint.step is not None and bool(checkpoint.generation)
        return [
            copy
            for copy in self.copies
            if copy.identity != checkpoint.identity and known and (copy.step, copy.generation) == place
        ]

    @property
    def all(self) -> tuple[Checkpoint, ...]:
        return (*self.rungs, *self.others)


def ancestors(newest: Checkpoint, others: Sequence[Checkpoint], runs: Sequence[Run]) -> list[Checkpoint]:
    """Return those of the others that the run of `newest` came by, the newest first.

    A run that went back left checkpoints behind that no later one descends from. Which these are is known from the
    starts of the trainer, by generation; where it is not known, a step that is not before the next newer one shows it.
    Times only order those of which no more is known: a copy of the project may have lost them.
    """
    limits, rest = _limits(newest, runs)
    kept: list[Checkpoint] = []
    below = newest.step
    if below is not None and not newest.generation:
        below += 1  # a damaged one, of which only the step is known: there may be another copy of it
    for checkpoint in _ordered(others, limits):
        limit = limits.get(checkpoint.generation, rest)
        if checkpoint.step is None:
            kept.append(checkpoint)
        elif (limit is None or checkpoint.step <= limit) and (below is None or checkpoint.step < below):
            kept.append(checkpoint)
            below = checkpoint.step
    return kept


def _ordered(others: Sequence[Checkpoint], limits: Mapping[int, int | None]) -> list[Checkpoint]:
    """The newest first: by time, but those that the history is known to have come by in the order of their steps."""
    ordered = sorted(others, key=_newness, reverse=True)
    known = [
        checkpoint
        for checkpoint in others
        if checkpoint.generation and (limits.get(checkpoint.generation) or 0) >= (checkpoint.step or 0) > 0
    ]
    by_step = iter(sorted(known, key=lambda checkpoint: checkpoint.step or 0, reverse=True))
    return [next(by_step) if checkpoint in known else checkpoint for checkpoint in ordered]


def common_step(runs: Sequence[Run], place: tuple[int, int], other: tuple[int, int]) -> int | None:
    """The step up to which two places in the training have the same history; None where that is not known. A place:
    (generation, step)."""
    histories = []
    for generation, step in (place, other):
        limits, _ = _limits(Checkpoint("", 0, 0.0, step, generation), runs) if generation else ({}, None)
        histories.append(limits)
    shared = histories[0].keys() & histories[1].keys()
    limits_of_both = [_least(*(limits[generation] for limits in histories)) for generation in shared]
    return max((limit for limit in limits_of_both if limit is not None), default=None)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _newness(checkpoint: Checkpoint) -> tuple[float, int, int]:
    """Of two of the same moment, the one comes first of which more is known."""
    return checkpoint.saved, checkpoint.step or 0, checkpoint.generation


def _limits(newest: Checkpoint, runs: Sequence[Run]) -> tuple[dict[int, int | None], int | None]:
    """(the last step by generation that the newest one descends from; the limit for generations that are not known)."""
    starts = {run.generation: run for run in runs if run.generation}
    limits: dict[int, int | None] = {}
    generation, limit = newest.generation, newest.step
    while generation not in limits:
        limits[generation] = limit
        run = starts.get(generation)
        if run is None:
            return limits, limit
        limit = run.from_step if limit is None else min(limit, run.from_step)
        generation = run.parent
    return limits, limit if not generation else 0
