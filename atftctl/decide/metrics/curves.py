"""The curves of the columns that have a role."""

from __future__ import annotations

from atftctl.decide.metrics.thinning import thinned
from atftctl.domain.curve import Curve
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.metrics_table import MetricsTable
from atftctl.protocol.messages import tr


def curves(rows: MetricsTable, rules: Metrics) -> dict[str, tuple[str, Curve]]:
    """(column, curve) by role, over the training steps; over the number of the row where steps go back, as over several
    branches. A column without a value is left out."""
    import numpy as np

    if not len(rows):
        return {}
    rising = bool((np.diff(rows.steps) >= 0).all())
    xs = rows.steps if rising else np.arange(1, len(rows) + 1)
    made = {}
    for role, name in rules.roles.items():
        column = rows.columns.get(name)
        if column is None or not column.present.any():
            continue
        places = xs[column.present].astype(np.float64)
        known = rules.columns.get(name)
        ends = [tr("step {step}", step=int(x)) if rising else tr("row {row}", row=int(x)) for x in places[[0, -1]]]
        curve = thinned(
            rules.title(name),
            places,
            column.values[column.present],
            unit=known.unit if known else "",
            ends=(ends[0], ends[1]),
        )
        made[role] = (name, curve)
    return made
