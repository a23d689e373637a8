"""What is found in a project that has no runbook yet, and what is chosen of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from atftctl.domain.record import record
from atftctl.domain.runbook import Value
from atftctl.protocol.messages import Message

MetricsKind = Literal["csv", "jsonl", "huggingface", "tensorboard"]
Speaks = Literal["", "reporter", "callback"]  # with the hooks of atftctl: in a loop, or in a framework
Writer = Literal["", "reporter", "callback", "guard"]  # of the metrics; "" for the program itself


@record
class Entry:
    """A file or folder of the project: its path, when it was written (Unix seconds), and whether it is a folder."""

    path: str
    written: float
    folder: bool = False


@record
class Config:
    """A config file that could be read: its path and its settings."""

    path: str
    settings: Mapping[str, Any]


@record
class Candidate:
    """A command that may start the trainer. `words`: none where `line` needs a shell. `source`: where it was found.
    `score`: the higher, the likelier."""

    words: tuple[str, ...]
    source: Message
    score: int
    line: str = ""


@record
class MetricsFile:
    """A file with metrics: what it is, and its columns where it names them in its first line."""

    path: str
    kind: MetricsKind
    written: float
    columns: tuple[str, ...] = ()


@record
class Found:
    """What a look at the project found. `logs`: files. `log_folders`: folders that look like it. `uncounted`: folders
    that were not looked at whole. `strange`: names that can't be shown, which were passed over. `git`: whether the
    project lies in a git work tree. `speaks`: with which hooks of atftctl a program of the project does. `outputs`: the
    beginnings of files that the output of earlier runs was sent to."""

    files: int
    configs: tuple[Config, ...] = ()
    checkpoints: tuple[Entry, ...] = ()
    logs: tuple[Entry, ...] = ()
    log_folders: tuple[str, ...] = ()
    metrics: tuple[MetricsFile, ...] = ()
    commands: tuple[Candidate, ...] = ()
    python: str = "{python}"
    uncounted: tuple[str, ...] = ()
    strange: int = 0
    git: bool = False
    speaks: Speaks = ""
    outputs: tuple[str, ...] = ()


@record
class Guess:
    """A setting that looks like an improvement. `sure`: a switch; a number may be anything."""

    file: str
    key: str
    baseline: Value
    improved: Value
    sure: bool

    @property
    def name(self) -> str:
        """What the runbook calls it."""
        return self.key.replace(".", "_").replace("-", "_")


@record
class Saved:
    """The checkpoints that were chosen: `last` and `best` that the trainer resumes from, the folder with earlier ones,
    and the files that snapshots hold. `others`: what was not chosen."""

    last: str = ""
    best: str = ""
    history: str = ""
    models: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    numbered: bool = False  # the name of `last` holds a number: the next one has another name


@record
class Measures:
    """The metrics that were chosen: paths or patterns, and the columns of the step and the loss; "" where unknown.
    `writer`: the part of atftctl that writes them. `columns`: all columns but the step, where guard writes them."""

    files: tuple[str, ...] = ()
    kind: MetricsKind = "csv"
    step: str = ""
    loss: str = ""
    writer: Writer = ""
    columns: tuple[str, ...] = ()


@record
class Proposal:
    """The runbook that is proposed. `namespaces`: by config file, the key under which the trainer merges it."""

    service: str
    configs: tuple[str, ...]
    saved: Saved
    command: tuple[str, ...]
    namespaces: Mapping[str, str]
    logs: tuple[str, ...] = ()
    metrics: Measures = Measures()
    features: tuple[Guess, ...] = ()
    maybe: tuple[Guess, ...] = ()
    also: tuple[str, ...] = ()  # config files in another format than YAML and JSON, which are saved whole
    speaks: bool = False  # the trainer uses the hooks of atftctl or runs under guard, so that its first step is known
    pattern: str = ""  # a line of the output that shows that it trains; "" where none is known
