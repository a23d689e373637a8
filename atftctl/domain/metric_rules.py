"""What a runbook says about the trainer's metrics: what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from atftctl.domain.record import record

LEAST_DATES = 20  # with fewer dates, bounds of a mean are not trusted, whatever the runbook says
Direction = Literal["higher", "lower"]


@record
class Metric:
    """One column of the trainer's metrics. `better`: the direction of improvement; "" where there is none."""

    title: str = ""
    unit: str = ""
    better: Literal["", "higher", "lower"] = ""


@record
class Metrics:
    """What the columns of the trainer's metrics mean. `columns`: by the name in the file. The other fields name the
    column that has a certain role; "" where the trainer has no such column."""

    columns: Mapping[str, Metric] = field(default_factory=dict)
    quality: str = ""  # by which the quality of a model is judged
    loss: str = ""
    memory: str = ""
    step_time: str = ""
    gradient: str = ""  # the norm of the gradient before clipping

    @property
    def roles(self) -> dict[str, str]:
        """The columns that have a role, by role, in the order in which they are shown."""
        roles = {name: getattr(self, name) for name in ("quality", "loss", "memory", "step_time")}
        return {role: column for role, column in roles.items() if column}

    def title(self, column: str) -> str:
        """How people call a column: its title, else its name."""
        known = self.columns.get(column)
        return (known.title if known else "") or column
