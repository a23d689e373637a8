"""What a reader of metrics returns: the measured values by column, whatever file they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from atftctl.domain.record import record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Flags = NDArray[np.bool_]

Row = Mapping[str, float | None]  # by column; None where nothing was measured


@record
class SetAside:
    """What a reader could not use, counted. `lines`: whole lines: torn ones, and others whose number of values is not
    that of their header. `no_header`: lines without a header above them. `unfinished`: last lines without an end, which
    may still be written. `not_numbers`: values that are not numbers. `no_step`: rows without a step. `headers`: headers
    after the first of a file. `columns`: columns, where there are too many. `files`: files that were not read, or only
    in part, with the reason."""

    lines: int = 0
    no_header: int = 0
    unfinished: int = 0
    not_numbers: int = 0
    no_step: int = 0
    headers: int = 0
    columns: int = 0
    files: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: SetAside) -> SetAside:
        return SetAside(
            self.lines + other.lines,
            self.no_header + other.no_header,
            self.unfinished + other.unfinished,
            self.not_numbers + other.not_numbers,
            self.no_step + other.no_step,
            self.headers + other.headers,
            self.columns + other.columns,
            {**self.files, **other.files},
        )


@record
class Column:
    """The values of one column. `values`: NaN where nothing was measured, too. `present`: where something was
    measured."""

    values: Numbers
    present: Flags

    def rows(self, which: Whole | Flags | slice) -> Column:
        return Column(self.values[which], self.present[which])


@record
class MetricsTable:
    """All rows, in the order in which they were written.

    `steps`: the training step of each row. `generations`: of the trainer that wrote the row; 0 where that is not known.
    `fresh`: rows that follow a header in the middle of a file: another trainer began to write there. `columns`: the
    other columns, by name. `written`: when the newest row was written, in Unix seconds; None where that is not known.
    """

    steps: Whole
    generations: Whole
    fresh: Flags
    columns: Mapping[str, Column]
    set_aside: SetAside = field(default_factory=SetAside)
    written: float | None = None

    def __len__(self) -> int:
        return len(self.steps)

    def rows(self, which: Whole | Flags | slice) -> MetricsTable:
        """The table with these rows only."""
        columns = {name: column.rows(which) for name, column in self.columns.items()}
        return replace(
            self,
            steps=self.steps[which],
            generations=self.generations[which],
            fresh=self.fresh[which],
            columns=columns,
        )


@record
class NewestRows:
    """The newest rows, the oldest of them first. `columns`: their names, in the order of the file."""

    columns: tuple[str, ...]
    rows: Sequence[Row]
    set_aside: SetAside = field(default_factory=SetAside)
