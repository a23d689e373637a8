"""The newest values of the metrics, for `status`: cheap, and with the standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.domain.curve import Curve
from atftctl.domain.errors import Refused
from atftctl.domain.metrics_table import Row
from atftctl.observe.metrics.reader import reader_of
from atftctl.operations.project import Project
from atftctl.operations.report.metrics_data import CurveData, curve_data
from atftctl.protocol.messages import tr

ROWS = 500
ROLES = ("quality", "loss", "memory")


def recent(project: Project) -> dict[str, CurveData]:
    """The curves of the newest rows, by role; empty where there are none that can be read. Rows before the newest start
    of the trainer are left out."""
    try:
        newest = reader_of(project.layout).newest(ROWS)
    except Refused:  # `metrics` says why; the state of the service must be shown all the same
        return {}
    rows = _of_newest_start(newest.rows if newest else ())
    rules = project.runbook.metrics
    curves = {}
    for role, column in rules.roles.items():
        points = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
        if role in ROLES and len(points) > 1:
            known = rules.columns.get(column)
            xs, ys = [float(x or 0) for x, _ in points], [float(y or 0) for _, y in points]
            ends = tr("step {step}", step=int(xs[0])), tr("step {step}", step=int(xs[-1]))
            curves[role] = curve_data(column, Curve(rules.title(column), xs, ys, known.unit if known else "", ends))
    return curves


def _of_newest_start(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows at the end whose steps rise, of one generation."""
    begin = len(rows)
    after: Row | None = None
    for at in range(len(rows) - 1, -1, -1):
        row = rows[at]
        step = row.get("step")
        if step is None or not 0 <= step < 1 << 53:
            break
        if after and (row.get("generation") != after.get("generation") or step >= (after["step"] or 0)):
            break
        begin, after = at, row
    return rows[begin:]
