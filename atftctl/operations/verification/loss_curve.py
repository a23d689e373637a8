"""The loss curve of the run that a baseline is recorded of: from the rows that this run wrote itself."""

from __future__ import annotations

from typing import Any

from atftctl.decide.detectors.loss_curve import CurveMaker
from atftctl.host.errors import HostError, reason
from atftctl.observe.metrics.lineage import Lineage, lineage, rows_of
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, tr
from atftctl.state import process_record


def measure(project: Project, digest: str) -> tuple[dict[str, Any] | None, Message]:
    """(the curve as it is kept in the baseline, what is to be said of it). None where the trainer has not written one:
    the baseline is as good, but a loss that falls too slowly can't be recognised by it. digest: of the settings that
    the baseline is recorded with."""
    column = project.runbook.metrics.loss
    if not column:
        return None, tr("no loss curve was kept: the runbook names no column of the loss (metrics.loss)")
    run = process_record.read(project.layout)
    if run is None:
        return None, tr("no loss curve was kept: atftctl has not started a trainer here")
    known = lineage(project.layout, run, digest)
    if known is None:
        return None, tr("no loss curve was kept: the last trainer had other settings than the baseline")
    try:
        maker, begin = _made(project, known, column)
    except (OSError, HostError) as error:
        return None, tr("no loss curve was kept: the metrics can't be read: {reason}", reason=reason(error))
    curve = maker.curve()
    if not curve.steps:
        text = tr("no loss curve was kept: the trainer has written {rows} rows with {metric}, and 200 are needed",
                  rows=maker.rows, metric=column)  # fmt: skip
        return None, text
    kept = {
        "column": column,
        "run_id": run.run_id,
        "generation": known.generation,
        "begin": begin,
        "rows": maker.rows,
        "measured_on": dict(known.measured_on),
        "steps": list(curve.steps),
        "values": [float(f"{value:.8g}") for value in curve.values],
        "noise": curve.noise,
    }
    return kept, _said(column, maker, begin)


def _made(project: Project, known: Lineage, column: str) -> tuple[CurveMaker, int]:
    """(the curve's rows, the step that they follow). Where steps go back, as after a reload that took up an earlier
    checkpoint, the curve begins anew."""
    maker, begin = CurveMaker(), known.begin
    for row in rows_of(project.layout, known, (column,)):
        value = row.values.get(column)
        if value is None:
            continue
        if row.step < maker.last:
            maker, begin = CurveMaker(), row.step - 1
        maker.take(row.step, value)
    return maker, begin


def _said(column: str, maker: CurveMaker, begin: int) -> Message:
    if begin <= 0 or maker.first <= 1:
        return tr("loss curve of this run kept: {metric} in {rows:,} rows, from the beginning to step {last:,}",
                  metric=column, rows=maker.rows, last=maker.last)  # fmt: skip
    return tr("loss curve of this run kept: {metric} in {rows:,} rows, from step {first:,} to {last:,} only: "
              "before it, the trainer had other settings",
              metric=column, rows=maker.rows, first=maker.first, last=maker.last)  # fmt: skip
