"""The runbook as typed objects. Everything specific to one service comes from its runbook; code contains none of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.acting import Acting
from atftctl.domain.checkpoint import Checkpoints, Grade
from atftctl.domain.detector_rules import Detection, DetectorRule
from atftctl.domain.drill_rules import Drill
from atftctl.domain.engines import LOCAL, EngineName
from atftctl.domain.gate import Gate
from atftctl.domain.log_lines.rules import Logs
from atftctl.domain.metric_rules import Metrics
from atftctl.domain.readiness import Ready
from atftctl.domain.record import record
from atftctl.domain.route import Route
from atftctl.domain.slurm_rules import SlurmRules
from atftctl.domain.texts import Text
from atftctl.protocol import OUTPUT
from atftctl.protocol.keys import parse_key
from atftctl.protocol.messages import tr

Value = bool | int | float | str
Resume = Literal["last", "best", "scratch"]  # what a trainer is started from
ResumeFrom = Literal["last", "best", "snapshot", "scratch"]  # what a symptom goes back to
Kind = Literal["", "configs", "models"]  # of files; "" means all files


@record
class Files:
    """The files that a snapshot holds and restores together, relative to the project."""

    configs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # further files, and folders with all files in them
    allow_outside: tuple[str, ...] = ()  # folders outside of the project that symlinks of models may lead to
    namespaces: Mapping[str, str] = field(default_factory=dict)  # by config file: the key that it is merged under

    def namespace(self, config: str) -> tuple[str, ...]:
        """The key under which the trainer merges this config file; () for none."""
        try:
            return parse_key(self.namespaces[config]) if config in self.namespaces else ()
        except ValueError:  # the checks of the runbook report it
            return ()

    def of(self, kind: Kind) -> tuple[str, ...]:
        """The files of one kind; all files for ""."""
        return {"": (*self.configs, *self.models, *self.also), "configs": self.configs, "models": self.models}[kind]


@record
class Feature:
    """One improvement: the file and key of its setting, and the setting's value without (`baseline`) and with it."""

    file: str
    key: str
    baseline: Value
    improved: Value
    title: Text = field(default_factory=Text)  # the name where it is missing, as for all titles

    @property
    def path(self) -> tuple[str, ...]:
        try:
            return parse_key(self.key)
        except ValueError:  # the checks of the runbook report it
            return tuple(self.key.split("."))


Settings = Mapping[str, Value]  # by feature name
LIST_OR_MAPPING = tr("a list or a mapping")


def kind_of(value: Any) -> str:
    """The type of a setting's value, for people. A new value must have the type of the old one."""
    if isinstance(value, bool):
        return tr("true or false")
    if isinstance(value, int | float):
        return tr("a number")
    return tr("a string") if isinstance(value, str) else LIST_OR_MAPPING


# What is tried next where the same fault returns without progress: the next settings, or an earlier checkpoint.
Again = Literal["settings", "checkpoint"]
# out-of-memory, anomaly: the trainer's own fatal event. leak: memory grows over the steps. slower: the loss falls more
# slowly than with every improvement off. quality: only the checklist of `verify` can tell.
Detector = Literal["", "out-of-memory", "anomaly", "leak", "slower", "quality"]


@record
class Symptom:
    """One problem and how to roll back for it. `table`: the settings of the guide's problem table. `block`: those of
    the guide's staged section, where it has any. `minutes`: how long the rollback may take. `alternatives`: other
    settings that may help. `resume_grade`: the grade that the checkpoint must have. `again`: the next remedy where the
    fault returns."""

    table: Settings
    title: Text = field(default_factory=Text)
    cause: Text = field(default_factory=Text)
    minutes: int = 10
    resume: ResumeFrom = "last"
    block: Settings = field(default_factory=dict)
    alternatives: tuple[Settings, ...] = ()
    aliases: tuple[str, ...] = ()
    detector: Detector = ""  # how atftctl recognises the symptom; "": by the general health of a run
    advice: Text | None = None
    resume_grade: Grade = ""
    again: Again = "settings"

    @property
    def settings(self) -> Settings:
        """The settings that `rollback --symptom` applies: `block` where there is one, else `table`."""
        return self.block or self.table


Stage = Literal["table", "block", "immediate"]


@record
class Staged:
    """The staged rollback: one stage after the other until the trainer is healthy. A stage is judged after
    `window_steps` training steps or `window_s` seconds, whichever comes first."""

    minutes: int = 30
    stages: tuple[Stage, ...] = ("table", "block", "immediate")
    window_steps: int = 300
    window_s: float = 300.0
    bisect_steps: int = 40  # training steps of each probe run of `rollback --bisect`


@record
class Git:
    """The rollback by commits: which commits count as improvements, and the test that must pass before the branch
    moves."""

    pattern: str = "improve|feat|fix"  # regular expression for subjects; upper and lower case are the same
    most: int = 10  # how many of the newest commits are listed
    smoke: tuple[str, ...] = ()  # the test command; it runs in the reverted work tree
    service: tuple[str, ...] = ()  # files and folders of the running service; commits that change them are marked
    smoke_limit_s: float = 300.0  # seconds that the test may take
    remote: str = "origin"


@record
class Full:
    """The full rollback, which the guide does by hand."""

    minutes: int = 60
    remove: tuple[str, ...] = ()  # files that the improvements added
    ref: str = "HEAD"
    files: tuple[str, ...] = ()  # files that are restored from the commit `ref`
    packages: tuple[str, ...] = ()  # packages to uninstall; those that another package requires stay


@record
class Phase:
    """One phase of a plan that turns improvements on again, and the gate that it must pass before the next."""

    settings: Settings
    title: Text = field(default_factory=Text)
    gate: Gate = field(default_factory=Gate)


@record
class Immediate:
    """The immediate rollback: these settings; without any, the baseline of each feature."""

    minutes: int = 5
    resume: Resume = "last"
    settings: Settings = field(default_factory=dict)
    resume_grade: Grade = ""


@record
class TrainerRules:
    """How the trainer is started, stopped and checked. `{python}` and `{resume}` in a command are filled in. `grace_s`:
    seconds between SIGTERM and SIGKILL. `ready_s`: seconds until the trainer must be healthy."""

    command: tuple[str, ...]
    probe: tuple[str, ...] = ()
    grace_s: float = 30.0
    ready_s: float = 120.0
    validate: tuple[str, ...] = ()  # the command that checks settings without training; see docs/runbook.md
    memory_limit_mb: int = 0  # 0: no limit
    processes: int = 1
    launcher: tuple[
        str, ...
    ] = ()  # put before the command where `processes` is more than 1; `{processes}` is filled in
    ready: Ready | None = None  # None: the trainer reports its first step
    env: Mapping[str, str | int] = field(default_factory=dict)  # variables of its environment
    patterns: tuple[str, ...] = ()  # regular expressions of command lines of trainers that were started by hand
    output: str = OUTPUT  # the file that its standard output and error are appended to
    engine: EngineName = LOCAL  # what runs it
    slurm: SlurmRules | None = None  # None: the defaults of the cluster
    queue_s: float = 600.0  # that a job may wait before `ready_s` begins

    @property
    def limit_of_queue_s(self) -> float:
        """How long a start may wait in a queue; 0 where the engine has none."""
        return 0.0 if self.engine == LOCAL else self.queue_s

    @property
    def placement(self) -> SlurmRules | None:
        """What the engine needs beside the command."""
        return None if self.engine == LOCAL else self.slurm or SlurmRules()


@record
class Checks:
    """Tolerances of the checklist after a rollback. Ratios and margins are relative to the recorded baseline."""

    quality_margin: float = 0.02  # in the unit of the column that metrics.quality names
    quality_min_dates: int = 60
    quality_pair_by: Literal["", "date", "example", "none"] = ""  # "": by what the probe's answer is
    quality_min_pairs: int = 0  # 0: quality_min_dates
    quality_min_evaluations: int = 5  # of the run and of the baseline, where quality comes from the metrics
    memory_ratio: float = 1.20
    step_time_ratio: float = 1.20
    grad_norm_max: float = 5.0
    probe_steps: int = 60
    probe_limit_s: float = 300.0

    @property
    def min_pairs(self) -> int:
        """With fewer pairs, or values, there is no verdict on quality."""
        return self.quality_min_pairs or self.quality_min_dates


@record
class Keep:
    """Which snapshots `backup prune` keeps, counted as restic does: the newest `last` ones; one for each of the last
    `hourly` hours, `daily` days, `weekly` weeks and `monthly` months; and all within a time span before the newest
    ("36h", "2d", "1w")."""

    last: int = 10
    hourly: int = 24
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    within: str = "2d"


def span_s(text: str) -> float | None:
    """The seconds of a time span such as "36h", "2d", "1w" or "0"; None where the text is not a time span."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS_S else (text, "d")
    return int(number) * _UNITS_S[unit] if number.isascii() and number.isdigit() else None


_UNITS_S = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


@record
class Backups:
    """Retention of snapshots. `recheck_days`: a copy that was last hashed longer ago is hashed again before a new
    snapshot links to it."""

    keep: Keep = field(default_factory=Keep)
    recheck_days: float = 7.0

    @property
    def recheck_s(self) -> float:
        return self.recheck_days * 86_400


@record
class Contact:
    """Whom to ask: `when`, and `how` to reach them."""

    when: Text
    how: Text


@record
class Runbook:
    """One runbook file: `files` and `trainer`, and what else it has. `plans`: phases by plan name; `reenable_plan`: the
    plan that `reenable` uses by default; without a name the first one."""

    files: Files
    trainer: TrainerRules
    version: int = 1
    service: str = ""  # the name of the project's folder where it is missing
    features: Mapping[str, Feature] = field(default_factory=dict)
    immediate: Immediate = field(default_factory=Immediate)
    symptoms: Mapping[str, Symptom] = field(default_factory=dict)
    plans: Mapping[str, tuple[Phase, ...]] = field(default_factory=dict)
    reenable_plan: str = ""
    checks: Checks = field(default_factory=Checks)
    contacts: tuple[Contact, ...] = ()
    backups: Backups = field(default_factory=Backups)
    staged: Staged = field(default_factory=Staged)
    git: Git = field(default_factory=Git)
    full: Full = field(default_factory=Full)
    drill: Drill = field(default_factory=Drill)
    metrics: Metrics = field(default_factory=Metrics)
    logs: Logs = field(default_factory=Logs)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    detectors: Mapping[str, DetectorRule] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    acting: Acting = field(default_factory=Acting)
    detection: Detection = field(default_factory=Detection)

    def symptom_by(self, detector: Detector) -> str:
        """The first symptom that this detector recognises; "" where there is none."""
        return next((name for name, symptom in self.symptoms.items() if symptom.detector == detector != ""), "")

    def feature(self, name: str) -> Feature:
        return self.features[name]
