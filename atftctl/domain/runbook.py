"""The runbook as typed objects. All that is known of the service comes from here; code holds nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.record import record
from atftctl.protocol.keys import parse_key

Value = bool | int | float | str
Resume = Literal["last", "best", "scratch"]
Kind = Literal["", "configs", "models"]  # of files; "" is all


@record
class Text:
    """One text in both languages of the runbook."""

    en: str
    ja: str

    def say(self, language: str) -> str:
        return self.ja if language == "ja" else self.en


@record
class Files:
    """What is kept and restored as one unit, relative to the project."""

    configs: tuple[str, ...]
    models: tuple[str, ...]
    also: tuple[str, ...] = ()  # further files, and folders with all that lies in them
    allow_outside: tuple[str, ...] = ()  # folders outside of the project that symlinks of models may lead to

    def of(self, kind: Kind) -> tuple[str, ...]:
        """Those of one kind; of "" all."""
        return {"": (*self.configs, *self.models, *self.also), "configs": self.configs, "models": self.models}[kind]


@record
class Feature:
    """One improvement: where its setting stands, and its value before and with the improvement."""

    title: Text
    file: str
    key: str
    baseline: Value
    improved: Value

    @property
    def path(self) -> tuple[str, ...]:
        try:
            return parse_key(self.key)
        except ValueError:  # the runbook's checks tell of it
            return tuple(self.key.split("."))


Settings = Mapping[str, Value]  # by feature name


LIST_OR_MAPPING = "a list or mapping"


def kind_of(value: Any) -> str:
    """A setting keeps its kind: a boolean stays one, a number a number, a word a word."""
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "a word" if isinstance(value, str) else LIST_OR_MAPPING


# out-of-memory, anomaly: the trainer's own fatal event. leak: memory grows over the steps. slower: the loss falls more
# slowly than with every improvement off. quality: only the checklist of `verify` can tell.
Detector = Literal["", "out-of-memory", "anomaly", "leak", "slower", "quality"]


@record
class Symptom:
    """A row of the guide's problem table, and its block of the staged section where it has one."""

    title: Text
    cause: Text
    minutes: int
    resume: Resume
    table: Settings
    block: Settings = field(default_factory=dict)
    alternatives: tuple[Settings, ...] = ()
    aliases: tuple[str, ...] = ()
    detector: Detector = ""  # how the tool recognises the symptom; "": by the general health of a run
    advice: Text | None = None

    @property
    def settings(self) -> Settings:
        """What `rollback --symptom` applies: the block where there is one, else the row."""
        return self.block or self.table


Stage = Literal["table", "block", "immediate"]


@record
class Staged:
    """The thirty-minute way: stage after stage until one is healthy. A stage is judged over `window_steps` steps of the
    trainer, or over what it does within `window_s`."""

    minutes: int = 30
    stages: tuple[Stage, ...] = ("table", "block", "immediate")
    window_steps: int = 300
    window_s: float = 300.0
    bisect_steps: int = 40  # of each probe run of --bisect


@record
class Git:
    """The guide's recommended way: which commits are taken for improvements, and what must run before the branch
    moves."""

    pattern: str = "improve|feat|fix"  # of subjects, whatever their case
    most: int = 10  # of the newest commits
    smoke: tuple[str, ...] = ()  # run in the reverted work tree
    service: tuple[
        str, ...
    ] = ()  # files and folders that the running service is made of; marked in the list of commits
    smoke_limit_s: float = 300.0
    remote: str = "origin"


@record
class Full:
    """The guide's manual way."""

    minutes: int = 60
    remove: tuple[str, ...] = ()  # files that the improvements brought
    ref: str = "HEAD"
    files: tuple[str, ...] = ()  # these go back to `ref`
    packages: tuple[str, ...] = ()  # no longer needed; those that something else requires stay


@record
class Drill:
    """The rehearsal: features that stay off in the incident that it makes."""

    keep_off: tuple[str, ...] = ()


@record
class Phase:
    title: Text
    settings: Settings


@record
class Immediate:
    """The five-minute way: these settings, key by key."""

    minutes: int
    resume: Resume
    settings: Settings


@record
class TrainerRules:
    """How the trainer is started, stopped and known to be up. `{python}` and `{resume}` are filled in."""

    command: tuple[str, ...]
    probe: tuple[str, ...]
    grace_s: float
    ready_s: float
    validate: tuple[str, ...] = ()  # asks the trainer whether settings can be trained with; docs/runbook.md
    memory_limit_mb: int = 0  # 0: no limit
    processes: int = 1
    launcher: tuple[str, ...] = ()  # stands before the command's words where there are several; `{processes}`


@record
class Checks:
    """Tolerances of the checklist after a rollback; MODEL.md section 5 is their source."""

    rankic_margin: float = 0.02
    rankic_min_dates: int = 60
    memory_ratio: float = 1.20
    step_time_ratio: float = 1.20
    grad_norm_max: float = 5.0
    probe_steps: int = 60
    probe_limit_s: float = 300.0


@record
class Keep:
    """Which snapshots `backup prune` keeps: so many of the newest, one for each of so many hours, days, weeks, months,
    and all within a span before the newest ("36h", "2d", "1w"). As restic counts them."""

    last: int = 10
    hourly: int = 24
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    within: str = "2d"


def span_s(text: str) -> float | None:
    """Seconds of "36h", "2d", "1w", or "0"; None for what is no span."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS_S else (text, "d")
    return int(number) * _UNITS_S[unit] if number.isascii() and number.isdigit() else None


_UNITS_S = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


@record
class Backups:
    """`recheck_days`: a copy that was not hashed for so long is hashed before a new snapshot relies on it."""

    keep: Keep = field(default_factory=Keep)
    recheck_days: float = 7.0

    @property
    def recheck_s(self) -> float:
        return self.recheck_days * 86_400


@record
class Contact:
    when: Text
    how: Text


@record
class Runbook:
    version: int
    service: str
    files: Files
    features: Mapping[str, Feature]
    immediate: Immediate
    symptoms: Mapping[str, Symptom]
    plans: Mapping[str, tuple[Phase, ...]]
    reenable_plan: str
    trainer: TrainerRules
    checks: Checks
    contacts: tuple[Contact, ...]
    backups: Backups = field(default_factory=Backups)
    staged: Staged = field(default_factory=Staged)
    git: Git = field(default_factory=Git)
    full: Full = field(default_factory=Full)
    drill: Drill = field(default_factory=Drill)

    def symptom_by(self, detector: Detector) -> str:
        """The first symptom that this detector recognises; "" where there is none."""
        return next((name for name, symptom in self.symptoms.items() if symptom.detector == detector != ""), "")

    def feature(self, name: str) -> Feature:
        return self.features[name]
