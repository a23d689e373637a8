"""What a runbook says about the trainer's metrics: what their columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, NamedTuple

from atftctl.domain.record import record
from atftctl.protocol import METRICS

LEAST_DATES = 20  # with fewer dates, bounds of a mean are not trusted, whatever the runbook says
Direction = Literal["higher", "lower"]
Known = Literal["csv", "jsonl", "tensorboard", "huggingface"]
Format = Literal["auto", "csv", "jsonl", "tensorboard", "huggingface"]
STEP = "step"
EVENTS, STATE = "tfevents", "trainer_state.json"  # names of files: a part of those of TensorBoard; of Hugging Face
ENDINGS: Mapping[str, Known] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
USUAL = ("metrics.csv", "metrics.jsonl", STATE)  # what is looked for in a folder, beside event files


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


PROTOCOL = MetricsSource()  # the one CSV that the protocol names


class MetricsPlace(NamedTuple):
    """Where a file of metrics ended at some time. `name`: relative to the project. `seen`: the last bytes before the
    offset, as hex digits."""

    name: str
    inode: int
    offset: int
    seen: str = ""


class MetricsSince(NamedTuple):
    """Where the metrics ended at some time: byte offset and inode of the one CSV that the protocol names; else the
    place of each file that was there."""

    offset: int = 0
    inode: int = 0
    places: tuple[MetricsPlace, ...] = ()


def format_by_name(name: str) -> Known | None:
    """The format that a file of this name has; None where the name does not tell it."""
    base = name.rpartition("/")[2]
    if EVENTS in base:
        return "tensorboard"
    if base == STATE:
        return "huggingface"
    endings = (f".{ending}" for ending in reversed(base.split(".")[1:]))  # metrics.jsonl.1 is one, too
    return next((ENDINGS[ending] for ending in endings if ending in ENDINGS), None)


def is_usual_name(name: str) -> bool:
    """Is this the name of a file that a folder of metrics has?"""
    return EVENTS in name or name in USUAL


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
