"""The branches of the metrics, and the one history that the newest of them descends from.

A trainer that resumes from an earlier step than the one reached makes a branch: what was written from this step on is
no part of the model that is trained now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from atftctl.domain.branches import Branch, Run
from atftctl.domain.metrics_table import MetricsTable

MOST = 1000  # branches; more only come from two trainers that write at once


def arranged(table: MetricsTable) -> MetricsTable:
    """The rows by generation, in the order in which the generations began; the rows of each in the order in which they
    were written. Two trainers that wrote at once are told apart by this. Rows of no known generation stay behind the
    newest one that was written before them."""
    import numpy as np

    if (np.diff(table.generations) >= 0).all():
        return table
    _, firsts, inverse = np.unique(table.generations, return_index=True, return_inverse=True)
    ranks = np.argsort(np.argsort(firsts))[inverse]
    known = table.generations > 0
    newest = np.maximum.accumulate(np.where(known, ranks, -1))
    keys = np.where(known, 2 * ranks, 2 * newest + 1)
    return table.rows(np.argsort(keys, kind="stable"))


def branches(table: MetricsTable, runs: Sequence[Run], step_time: str) -> tuple[Branch, ...]:
    """The branches of an arranged table, the oldest first, each with what became of it.

    runs: the starts that are known from events, the oldest first. step_time: the column of the seconds that a step
    takes; "" for none. Of more than `MOST` branches, the oldest are one.
    """
    if not len(table):
        return ()
    begins = _begins(table)
    plain = [
        _branch(table, begin, end, step_time) for begin, end in zip(begins, [*begins[1:], len(table)], strict=True)
    ]
    plain[-1] = replace(plain[-1], written=table.written)
    return _ancestry(_with_runs(_named(plain), runs))


def _begins(table: MetricsTable) -> list[int]:
    """The number of the first row of each branch. Two rows of the same step, as one of the training and one of the
    validation, begin one only where they may come from two trainers."""
    import numpy as np

    other = np.diff(table.generations) != 0
    change = np.diff(table.steps)
    back = (change < 0) | ((change == 0) & (table.generations[1:] == 0))
    header = table.fresh[1:] & (table.generations[1:] == 0)
    begins = [0, *(np.flatnonzero(back | other | header) + 1).tolist()]
    return begins if len(begins) <= MOST else [0, *begins[len(begins) - MOST + 1 :]]


def _branch(table: MetricsTable, begin: int, end: int, step_time: str) -> Branch:
    import numpy as np

    seconds = table.columns[step_time].values[begin:end] if step_time in table.columns else np.empty(0)
    seconds = seconds[np.isfinite(seconds)]
    steps = table.steps[begin:end]
    return Branch(
        name="",
        generation=int(table.generations[begin]),
        begin=begin,
        end=end,
        first_step=int(steps.min()),
        last_step=int(steps.max()),
        step_s=float(np.median(seconds)) if len(seconds) else None,
    )


def _named(plain: Sequence[Branch]) -> list[Branch]:
    """Each branch with its name: its generation; a second branch of a generation as `5.2`. Where no generation is known
    at all, they are numbered; where only some are, the others are called `other-1`, `other-2`."""
    known = any(branch.generation for branch in plain)
    counts: dict[int, int] = {}
    named = []
    for branch in plain:
        number = counts[branch.generation] = counts.get(branch.generation, 0) + 1
        if branch.generation:
            name = str(branch.generation) if number == 1 else f"{branch.generation}.{number}"
        else:
            name = f"other-{number}" if known else str(number)
        named.append(replace(branch, name=name))
    return named


def _with_runs(plain: Sequence[Branch], runs: Sequence[Run]) -> list[Branch]:
    """Each branch with its runs: those of its generation; else, in order, those that resumed where it begins, or later
    in it. A run whose step went back made a branch for each of its legs."""
    legs = [leg for run in runs for leg in run.legs]
    counts = Counter(branch.generation for branch in plain)
    waiting = [leg for leg in legs if not (leg.generation and counts[leg.generation])]
    seen: Counter[int] = Counter()
    matched = []
    for branch, following in zip(plain, [*(branch.first_step for branch in plain[1:]), None], strict=True):
        own = [leg for leg in legs if leg.generation and leg.generation == branch.generation]
        if counts[branch.generation] > 1:
            own = own[seen[branch.generation] :][:1]
        if not branch.generation:
            own = _next_runs(branch, following, waiting)
        seen[branch.generation] += 1
        matched.append(replace(branch, runs=tuple(own)))
    return matched


def _next_runs(branch: Branch, following: int | None, waiting: list[Run]) -> list[Run]:
    """Take from `waiting` the runs of a branch without a generation. following: the first step of the next branch."""
    fits = (
        at
        for at, run in enumerate(waiting)
        if run.from_step + 1 == branch.first_step and run.furthest >= branch.first_step  # the others made no step
    )
    begun = next(fits, None)
    if begun is None:
        return []
    own = [waiting[begun]]
    del waiting[: begun + 1]
    while waiting and waiting[0].from_step + 1 != following:
        if not own[-1].furthest <= waiting[0].from_step <= branch.last_step:
            break
        own.append(waiting.pop(0))
    return own


def _ancestry(plain: Sequence[Branch]) -> tuple[Branch, ...]:
    """Each branch with where it goes on from, and how far the newest branch descends from it."""
    made = list(plain)
    parents = [_parent(made, index) for index in range(len(made))]
    made = [
        branch if parent is None else replace(branch, came_from=made[parent].name)
        for branch, parent in zip(made, parents, strict=True)
    ]
    index: int | None = len(made) - 1
    limit = made[-1].last_step
    while index is not None:
        made[index] = replace(made[index], kept_to=min(limit, made[index].last_step))
        limit, index = made[index].from_step, parents[index]
    return tuple(made)


def _parent(plain: Sequence[Branch], index: int) -> int | None:
    """The branch that this one goes on from: the generation that saved its checkpoint, else the newest earlier branch
    that reached its first step, else the newest one that lies before it (rows may be lost); None for a start from new
    weights, or from a checkpoint whose rows are gone."""
    branch = plain[index]
    if branch.from_step <= 0:
        return None
    begun = [at for at in range(index) if plain[at].first_step <= branch.from_step]
    saved_by = branch.runs[0].parent if branch.runs else 0
    for fits in (
        [at for at in begun if saved_by and plain[at].generation == saved_by],
        [at for at in begun if plain[at].last_step >= branch.from_step],
        begun,
    ):
        if fits:
            return fits[-1]
    return None
