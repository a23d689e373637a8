"""What `incident` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from atftctl.domain.record import record
from atftctl.domain.result import Data


@record
class MomentData(Data):
    """One line of the timeline.

    at: when (ISO 8601, UTC). kind: `sign` of the fault, `decision`, `change`, `proof` or `later`. text: what happened.
    about: whether the time was reckoned from durations.
    """

    at: str
    kind: str
    text: str
    about: bool


@record
class SettingData(Data):
    """One setting that changed; secrets are masked.

    file: path of its config. key: its key. before: the value before, or null where it was not set. after: the value
    after, in the same form.
    """

    file: str
    key: str
    before: str | None
    after: str | None


@record
class FileData(Data):
    """One file that changed.

    path: its path. before: SHA-256 before, or null where there was no file. after: SHA-256 after, in the same form.
    """

    path: str
    before: str | None
    after: str | None


@record
class SideData(Data):
    """One column before or after the operation.

    lines: pieces of the curve, each a list of `[step, value]`; spikes are kept. broken: steps at which a value was not
    finite. first_step: the first step of the rows, or null where there is no row. last_step: the last one. count:
    number of values. bad: number of values that are not finite. last: the last value, as text if it is not finite.
    median: median of the finite values, or null. least: the least finite value, or null. greatest: the greatest one.
    """

    lines: tuple[tuple[tuple[int, float], ...], ...] = ()
    broken: tuple[int, ...] = ()
    first_step: int | None = None
    last_step: int | None = None
    count: int = 0
    bad: int = 0
    last: float | str | None = None
    median: float | None = None
    least: float | None = None
    greatest: float | None = None


@record
class AroundData(Data):
    """One column of the metrics around the operation.

    column: its name. title: what people call it. unit: unit of the values. before: before the operation. after: after
    it.
    """

    column: str
    title: str
    unit: str
    before: SideData
    after: SideData


@record
class CheckData(Data):
    """One check, and what it was decided from.

    name: its name. verdict: `pass`, `fail` or `inconclusive`. evidence: what was measured. at: when (ISO 8601), or
    empty.
    """

    name: str
    verdict: str
    evidence: str
    at: str = ""


@record
class CostData(Data):
    """What the operation cost; null where that is not known.

    steps: training steps that were given up. training_s: seconds of training that these took. down_s: seconds without
    training, until the first step after the change. took_s: seconds that the operation took.
    """

    steps: int | None
    training_s: float | None
    down_s: float | None
    took_s: float | None


@record
class UndoData(Data):
    """How to undo the operation.

    command: the command, or empty if there is nothing to undo. note: what to know before, or why there is no command.
    """

    command: str
    note: str


@record
class IncidentPart(Data):
    """One operation of the incident.

    operation: its id. command: the command. title: what it did. operator: who ran it. reason: why, in the operator's
    words. outcome: how it ended. exit_code: its exit code, or null. verdict: why the trainer was not healthy, or empty.
    started: when it began (ISO 8601, UTC), or empty. ended: when it ended. snapshot: the files of before, or empty.
    facts: what else the record holds, by name. situation: the state of the trainer before the change. steps: the steps
    of the plan. timeline: all that is known of the times. settings: the settings that changed. files: the files that
    changed. diff: unified diff of the configs, at most 300 lines. curves: columns by role: `loss`, `quality`,
    `memory`. checks: the checks with their evidence. cost: what it cost. undo: how to undo it. evidence: folder with
    the evidence. evidence_files: the files in it. missing: what is not known, and why.
    """

    operation: str
    command: str
    title: str
    operator: str
    reason: str
    outcome: str
    exit_code: int | None
    verdict: str
    started: str
    ended: str
    snapshot: str
    situation: str
    cost: CostData
    undo: UndoData
    facts: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    timeline: tuple[MomentData, ...] = ()
    settings: tuple[SettingData, ...] = ()
    files: tuple[FileData, ...] = ()
    diff: tuple[str, ...] = ()
    curves: Mapping[str, AroundData] = field(default_factory=dict)
    checks: tuple[CheckData, ...] = ()
    evidence: str = ""
    evidence_files: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@record
class IncidentData(Data):
    """Data of `incident`.

    service: name of the service. made: when the page was made (ISO 8601, UTC). version: of atftctl. operations: the
    operations, the oldest first. people: whom to ask. html: file that the page was written to, or empty. markdown: file
    that the Markdown was written to, or empty.
    """

    service: str
    made: str
    version: str
    operations: tuple[IncidentPart, ...]
    people: tuple[str, ...] = ()
    html: str = ""
    markdown: str = ""
