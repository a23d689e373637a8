"""Keep the rows of a run in bounded memory: the newest each, of those before them each so many-th."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from atftctl.domain.run_rows import Row

NEWEST, OLDER, ODD = 2000, 1000, 1000  # rows that are kept; the last: for a value that is not finite


@dataclass
class Thinned:
    """`count`: all rows that were added."""

    count: int = 0
    _newest: list[Row] = field(default_factory=list)
    _older: list[tuple[int, Row]] = field(default_factory=list)
    _odd: list[tuple[int, Row]] = field(default_factory=list)
    _stride: int = 1

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows that follow those that were added before."""
        for row in rows:
            self._newest.append(row)
            if len(self._newest) >= 2 * NEWEST:
                for old in self._newest[:-NEWEST]:
                    self._put(old)
                del self._newest[:-NEWEST]

    def rows(self) -> tuple[Row, ...]:
        """What is kept, in the order in which it was added."""
        odd = {number: row for number, row in self._odd if number % self._stride}
        older = sorted([*self._older, *odd.items()], key=lambda item: item[0])
        return (*(row for _, row in older), *self._newest)

    @property
    def total(self) -> int:
        """All rows that were added."""
        return self.count + len(self._newest)

    def _put(self, row: Row) -> None:
        number = self.count
        self.count += 1
        if len(self._odd) < ODD and not all(map(math.isfinite, row.values.values())):
            self._odd.append((number, row))
        if number % self._stride == 0:
            self._older.append((number, row))
        if len(self._older) >= 2 * OLDER:
            self._stride *= 2
            self._older = [item for item in self._older if item[0] % self._stride == 0]
