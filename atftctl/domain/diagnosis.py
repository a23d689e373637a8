"""What `diagnose` observes, the evidence that follows from it, and what it concludes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.facts import Process
from atftctl.domain.log_lines.rules import Role, Severity
from atftctl.domain.record import record
from atftctl.domain.run_rows import RunRows
from atftctl.domain.verdict import Check

Source = Literal["events", "process", "metrics", "logs", "kernel", "checkpoints"]
# proof: it is sure. strong: it happens without this cause hardly ever. weak: it happens with others, too. against: it
# would be otherwise with this cause. note: worth a line, and speaks for no cause.
Strength = Literal["proof", "strong", "weak", "against", "note"]
Confidence = Literal["certain", "likely", "possible"]


@record
class Evidence:
    """One sign. `cause`: what it speaks for or against: a symptom of the runbook, a detector of one, or another cause;
    "" for none. `time`: in Unix seconds; None where that is not known. `detector`, `column`: of the metrics, where it
    is an alarm; "" otherwise."""

    source: Source
    strength: Strength
    cause: str
    text: str
    time: float | None = None
    detector: str = ""
    column: str = ""


@record
class LogSign:
    """One message in a log, of a known kind. `time`, `last`: of the first and of the newest, in Unix seconds."""

    kind: str
    role: Role
    symptom: str
    severity: Severity
    text: str
    count: int = 1
    time: float | None = None
    last: float | None = None


@record
class KernelSign:
    """A message of the kernel, in Unix seconds. `pid`: of the process that it killed for memory, as the machine counts
    it; 0 for a fault of a graphics card. `xid`: the number that NVIDIA's driver gives such a fault."""

    pid: int
    text: str
    time: float
    xid: int = 0


@record
class Checkpoint:
    """A file with a model. `damage`: what is wrong with it; "" where nothing is, or that can't be said (`whole` False).
    `written`: in Unix seconds."""

    path: str
    whole: bool
    damage: str = ""
    written: float | None = None


@record
class Observed:
    """Everything that a diagnosis is made from. `now`, `since`: in Unix seconds. `pid`, `run_id`: of the recorded
    trainer, alive or not; 0 and "" without one. `events`: of it. `earlier`: final events of runs before it. `killed`:
    did the kernel kill a process of its cgroup for memory since the start? None where that can't be seen.
    `logs_unread`, `logs_part`: logs that could not be read, or only in part. `started`: when the trainer was started.
    `kernel_here`: is the kernel's log of the machine and the boot that it ran on? `kernel_pids`: does it give `pid` the
    same number? `progress`: the time of the newest step that is known, in Unix seconds. `quality`: of the newest
    evaluation, compared with the baseline; None where it can't be. `no_quality`: why the newest evaluation has no value
    of the quality; "" where it has one, or measures none."""

    now: float
    process: Process
    since: float | None = None
    started: float | None = None
    pid: int = 0
    wanted: str = ""
    events: tuple[Mapping[str, Any], ...] = ()
    earlier: tuple[Mapping[str, Any], ...] = ()
    rows: RunRows = field(default_factory=RunRows)
    logs: tuple[LogSign, ...] = ()
    logs_unread: tuple[str, ...] = ()
    logs_part: tuple[str, ...] = ()
    kernel: tuple[KernelSign, ...] = ()
    kernel_problem: str = ""
    progress: float | None = None
    kernel_here: bool = True
    kernel_pids: bool = True
    killed: bool | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    quality: Check | None = None
    no_quality: str = ""


@record
class Hypothesis:
    """One cause, how sure it is, and what speaks for it and against it."""

    cause: str
    confidence: Confidence
    evidence: tuple[Evidence, ...]
    against: tuple[Evidence, ...] = ()


@record
class Diagnosis:
    """The conclusion. `healthy`: nothing is wrong, and enough was seen to say so. `hypotheses`: the causes, the surest
    first. `notes`: signs that speak for none. `unknown`: why it can't be said that nothing is wrong."""

    healthy: bool
    hypotheses: tuple[Hypothesis, ...] = ()
    notes: tuple[Evidence, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def main(self) -> Hypothesis | None:
        """The surest cause; None where there is none."""
        return self.hypotheses[0] if self.hypotheses else None

    @property
    def is_sure(self) -> bool:
        """Is the surest cause more than possible?"""
        return self.main is not None and self.main.confidence != "possible"
