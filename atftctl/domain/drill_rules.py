"""The drill as the runbook describes it: how the fault of each symptom is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from atftctl.domain.record import record
from atftctl.domain.texts import Text

Value = bool | int | float | str
FileSettings = Mapping[str, Mapping[str, Value]]  # by config file, by dotted key


@record
class Alarm:
    """A rule for `detectors` of the copy that depends on the healthy run: the column `metric` is above `times` its
    usual value there for `rows` rows in a row (in the file, the key is `for`)."""

    metric: str
    times: float
    rows: int = field(default=1, metadata={"key": "for"})


@record
class Fault:
    """How the fault of one symptom is made. `how`: in words. `copy`: settings of the copy from its beginning, above
    those of all drills. `healthy_steps`: of the healthy run. Of the incident: `settings`; `environment`; `command`,
    which is run once before it; `memory_limit`: one that the improvements exceed and the rollback does not;
    `recovered`: settings to measure the latter with; `resume`: how its trainer starts; `keep_off`: further features
    that stay off. `alarm`: a rule for the detectors. `limit_s`: seconds until the watcher must have acted.
    `after_steps`: of the trainer after the rollback, until it is judged."""

    how: Text
    copy: FileSettings = field(default_factory=dict)
    healthy_steps: int = 40
    settings: FileSettings = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    memory_limit: bool = False
    recovered: FileSettings = field(default_factory=dict)
    resume: Literal["last", "best", "scratch"] = "last"
    keep_off: tuple[str, ...] = ()
    alarm: Alarm | None = None
    limit_s: float = 120.0
    after_steps: int = 40


@record
class Drill:
    """The rehearsal. `keep_off`: features that stay off in the incidents. `copy`: settings of the scratch copy.
    `faults`: by symptom."""

    keep_off: tuple[str, ...] = ()
    copy: FileSettings = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)
