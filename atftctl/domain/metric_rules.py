"""What a runbook says about the trainer's metrics: what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, NamedTuple

from atftctl.domain.record import record
from atftctl.protocol import METRICS

LEAST_DATES = 20  # with fewer dates, bounds of a mean are not trusted, whatever the runbook says
Direction = Literal["higher", "lower"]
Format = Literal["auto", "csv", "jsonl", "tensorboard", "huggingface"]
STEP = "step"


class MetricsSource(NamedTuple):
    """Where the trainer writes its metrics. `files`: paths and patterns, relative to the project. `format`: of all
    files; `auto` tells it by their names and their first bytes. `step`: the column with the training step."""

    files: tuple[str, ...] = (METRICS,)
    format: Format = "auto"
    step: str = STEP

    @property
    def is_default(self) -> bool:
        """Is it the one CSV that the protocol names?"""
        return self == MetricsSource(format=self.format) and self.format in ("auto", "csv")

    @property
    def name(self) -> str:
        """What people call it."""
        return ", ".join(self.files)


@record
class Metric:
    """One column of the trainer's metrics. `better`: the direction of improvement; "" where there is none."""

    title: str = ""
    unit: str = ""
    better: Literal["", "higher", "lower"] = ""


@record
class Metrics:
    """Where the trainer's metrics are, and what their columns mean. `files`, `format`, `step`: see MetricsSource.
    `columns`: by the name in the file. The other fields name the column that has a certain role; "" where the trainer
    has no such column."""

    files: tuple[str, ...] = (METRICS,)
    format: Format = "auto"
    step: str = STEP
    columns: Mapping[str, Metric] = field(default_factory=dict)
    quality: str = ""  # by which the quality of a model is judged
    loss: str = ""
    memory: str = ""
    step_time: str = ""
    gradient: str = ""  # the norm of the gradient before clipping

    @property
    def source(self) -> MetricsSource:
        """Where the trainer writes them."""
        return MetricsSource(self.files, self.format, self.step)

    @property
    def roles(self) -> dict[str, str]:
        """The columns that have a role, by role, in the order in which they are shown."""
        roles = {name: getattr(self, name) for name in ("quality", "loss", "memory", "step_time")}
        return {role: column for role, column in roles.items() if column}

    def title(self, column: str) -> str:
        """How people call a column: its title, else its name."""
        known = self.columns.get(column)
        return (known.title if known else "") or column
