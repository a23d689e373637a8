"""Which rows of the metrics are those before an operation, and which those after it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from atftctl.domain.run_rows import Row
from atftctl.protocol.messages import Message, tr


def why_not_placed(kept: bytes, there: bool, source: str) -> Message:
    """Say why it is not known where in the metrics an operation came. there: are there files? source: their name."""
    if not kept and not there:
        return tr("there are no metrics")
    if not kept:
        return tr("the evidence has no metrics: it is not known where in {path} the operation came", path=source)
    return tr("the rows of that time are no longer in {path}; those of the evidence are shown", path=source)


def split(
    before: list[Row], after: list[Row], generation: int, first_step: int | None, *, placed: bool
) -> tuple[list[Row], list[Row]]:
    """Put the rows that the old trainer wrote until its end on the side before. By the generation of the rows; where
    they have none, the new trainer begins where the step goes back, or at its first step."""
    if not generation:
        return before, after
    if any(row.generation for row in after):
        old = [row for row in after if 0 < row.generation < generation]
        new = [row for row in after if row.generation == generation or (placed and not row.generation)]
        return ([*before, *old] if placed or not before else before), new
    if not placed:
        return before, []
    begin = _begin(before, after, first_step)
    return [*before, *after[:begin]], after[begin:]


def _begin(before: Sequence[Row], after: Sequence[Row], first_step: int | None) -> int:
    """The number of the first row of the new trainer, where rows have no generation."""
    last = before[-1].step if before else -1
    for number, row in enumerate(after):
        if row.step <= last:
            return number
        last = row.step
    begun = (number for number, row in enumerate(after) if first_step is not None and row.step >= first_step)
    return next(begun, len(after))


def rising(rows: Sequence[Row]) -> list[Row]:
    """The rows that the last one descends from, the oldest first: what a later trainer has done again is left out."""
    kept: list[Row] = []
    follows = False  # the row after this one is kept
    for row in reversed(rows):
        follows = not kept or row.step < kept[-1].step or (follows and row[:2] == kept[-1][:2])
        if follows:
            kept.append(row)
    return kept[::-1]


def first_run(rows: Sequence[Row]) -> list[Row]:
    """The rows until the step goes back: there another trainer begins."""
    end = next((number for number, (row, later) in enumerate(pairwise(rows), 1) if later.step < row.step), len(rows))
    return list(rows[:end])
