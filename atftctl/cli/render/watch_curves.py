"""The curves of a watcher's screen: all rows of this run, in memory that does not grow with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from atftctl.domain.curve import Curve
from atftctl.protocol.messages import tr

if TYPE_CHECKING:
    from atftctl.domain.run_rows import Row
    from atftctl.operations.monitoring.watch import Seen
    from atftctl.operations.project import Project

MOST = 2000  # points of a curve; then each four become two
ORDER = ("loss", "quality", "memory", "step_time")

Point = tuple[float, float]


class Curves:
    """One curve for each role of a column."""

    def __init__(self, project: Project) -> None:
        self._project, self._generation = project, -1
        self._points: dict[str, list[Point]] = {}
        self._last = -1

    def take(self, seen: Seen) -> None:
        """The rows of a look. At the first look, and where the trainer was started again, those before it, too."""
        if seen.look.generation != self._generation:
            from atftctl.operations.monitoring.watch import rows_so_far

            self._generation, self._last = seen.look.generation, -1
            self._points = {}
            self._add(rows_so_far(self._project))
        self._add(row for row in seen.rows if row.step > self._last)

    def curves(self) -> list[Curve]:
        """What there is to draw, in the order of the screen."""
        rules = self._project.runbook.metrics
        made = []
        for role in ORDER:
            if (column := rules.roles.get(role)) and (points := self._points.get(role)):
                known = rules.columns.get(column)
                ends = tr("step {step}", step=int(points[0][0])), tr("step {step}", step=int(points[-1][0]))
                xs, ys = [x for x, _ in points], [y for _, y in points]
                made.append(Curve(rules.title(column), xs, ys, known.unit if known else "", ends))
        return made

    def _add(self, rows: Iterable[Row]) -> None:
        roles = self._project.runbook.metrics.roles
        for row in rows:
            self._last = max(self._last, row.step)
            for role, column in roles.items():
                if (value := row.values.get(column)) is not None:
                    points = self._points.setdefault(role, [])
                    if not points or row.step >= points[-1][0]:
                        points.append((float(row.step), value))
        for role, points in self._points.items():
            if len(points) > MOST:
                self._points[role] = thinned(points)


def thinned(points: Sequence[Point]) -> list[Point]:
    """About half as many points that draw the same curve: of each four the least and the greatest, and what is not
    finite."""
    kept = list[Point]()
    for begin in range(0, len(points), 4):
        group = points[begin : begin + 4]
        finite = [point for point in group if math.isfinite(point[1])]
        chosen = {min(finite, key=_value), max(finite, key=_value)} if finite else set[Point]()
        odd = next((point for point in group if not math.isfinite(point[1])), None)
        kept += sorted(chosen | ({odd} if odd else set()), key=lambda point: point[0])
    return kept


def _value(point: Point) -> float:
    return point[1]
