"""Rows as columns of numbers, in the memory of the numbers alone."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

from atftctl.domain.metrics_table import Column, MetricsTable, SetAside
from atftctl.domain.run_rows import Row


class TableMaker:
    """Collects rows."""

    def __init__(self) -> None:
        self.steps, self.generations, self.fresh = array("q"), array("q"), bytearray()
        self._values = dict[str, tuple["array[float]", bytearray]]()

    def add(self, rows: Iterable[Row], *, fresh: bool = False) -> None:
        """Add rows. fresh: another trainer begins to write with the first of them."""
        for row in rows:
            number = len(self.steps)
            for name, value in row.values.items():
                values, present = self._filled(name, number)
                values.append(value)
                present.append(1)
            self.steps.append(row.step)
            self.generations.append(row.generation)
            self.fresh.append(fresh)
            fresh = False

    def table(self, aside: SetAside, written: float | None) -> MetricsTable:
        """The table of all rows. Raises ImportError where numpy is missing."""
        import numpy as np

        for name in self._values:
            self._filled(name, len(self.steps))
        columns = {
            name: Column(np.array(values), np.frombuffer(bytes(present), bool))
            for name, (values, present) in self._values.items()
        }
        steps, generations = np.array(self.steps, np.int64), np.array(self.generations, np.int64)
        return MetricsTable(steps, generations, np.frombuffer(bytes(self.fresh), bool), columns, aside, written)

    def _filled(self, name: str, rows: int) -> tuple[array[float], bytearray]:
        """The column of this name, with as many rows."""
        if name not in self._values:
            self._values[name] = array("d"), bytearray()
        values, present = self._values[name]
        if (missing := rows - len(values)) > 0:
            values.extend([math.nan] * missing)
            present.extend(bytes(missing))
        return values, present
