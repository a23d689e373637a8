"""The rows of metrics that one run of the trainer wrote, as far as they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from atftctl.domain.record import record


class Row(NamedTuple):
    """One row of metrics. `generation`: of the trainer that wrote it, 0 where that is not known. `values`: by column;
    a column without a value is missing."""

    step: int
    generation: int
    values: Mapping[str, float]


@record
class RunRows:
    """`rows`: the newest ones, and of those before them each so many-th, in the order in which they were written.
    `count`: all that the run wrote. `earlier`, `later`: rows of an earlier and of a later generation, which are left
    out. `torn`: lines that are no rows. `columns`: of the file. `written`: when it was written, in Unix seconds; None
    where there is no file. `problem`: why it can't be read."""

    rows: tuple[Row, ...] = ()
    count: int = 0
    earlier: int = 0
    later: int = 0
    torn: int = 0
    columns: tuple[str, ...] = ()
    written: float | None = None
    problem: str = ""
