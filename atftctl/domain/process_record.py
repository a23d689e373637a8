"""The record of the trainer that atftctl started last, as it is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from atftctl.domain.engines import LOCAL, name_of
from atftctl.domain.metric_rules import MetricsPlace, MetricsSince
from atftctl.protocol import OUTPUT
from atftctl.protocol.messages import Message


@dataclass(frozen=True)
class TrainerIdentity:
    """One running trainer and no other, as its engine tells it from all others.

    A process has a pid, the start time in clock ticks since boot, and the id of the boot. Under another engine these
    are its number there, the time when it was handed over (Unix seconds), the place where the number is valid, and how
    often it was started again under it.
    """

    pid: int
    ticks: int
    boot: str
    restarts: int = 0
    engine: str = LOCAL

    @property
    def name(self) -> Message:
        """What people call it."""
        return name_of(self.engine, self.pid)


@dataclass(frozen=True)
class ProcessRecord:
    """One run of the trainer. It is written before the start (with pid 0) and again after it, so that a crash in
    between loses no trainer. `ticks`: the start time of the process in clock ticks since boot. `resume`: the checkpoint
    that the run started from. `generation`: the number of this start; 0 in a record of an earlier version."""

    run_id: str
    wanted: Literal["running", "stopped"]
    started_at: str
    digest: str
    resume: str
    events_from: int  # size of the event log in bytes when the run was started
    log_from: int = 0  # the same of the training log
    metrics_from: int = 0  # the same of the metrics
    pid: int = 0
    ticks: int = 0
    boot: str = ""
    host: str = ""
    namespace: str = ""  # the pid namespace: each container has its own
    processes: int = 1  # of training; where it is more than one, the recorded process is their launcher
    detached: bool = False  # the command put itself into the background: another process of the run is the trainer
    events_inode: int = 0  # of the event log when the run was started: after a rotation the name has another inode
    generation: int = 0
    log_inode: int = 0  # the same of the training log
    output_from: int = 0  # size of the trainer's output in bytes when the run was started
    output_inode: int = 0
    metrics_inode: int = 0
    oom_kills: int = -1  # as host.memory.oom_kills counted when the run was started; -1: not known
    oom_cgroup: str = ""  # the file with this count, as host.memory.kill_count names it; "": not known
    oom_inode: int = 0  # of that file: a cgroup that was made anew counts from 0
    output: str = OUTPUT  # the file of the trainer's output, relative to the project
    ready: str = ""  # the kind of proof that is waited for (domain.readiness.ProofKind); "": its first step
    proof: str = ""  # the kind of the proof that was seen; "": none yet
    engine: str = LOCAL  # what runs the trainer (domain.engines); it says what pid, ticks, boot and restarts mean
    restarts: int = 0
    metrics_files: tuple[MetricsPlace, ...] = ()  # where each ended when the run was started; see MetricsSince

    @property
    def identity(self) -> TrainerIdentity:
        """Of the trainer; without a pid where its start was not recorded."""
        return TrainerIdentity(self.pid, self.ticks, self.boot, self.restarts, self.engine)

    @property
    def name(self) -> Message:
        """What people call the trainer."""
        return name_of(self.engine, self.pid)

    def begun_as(self, who: TrainerIdentity) -> ProcessRecord:
        """The record of this run, once its identity is known."""
        return replace(self, pid=who.pid, ticks=who.ticks, boot=who.boot, restarts=who.restarts)

    @property
    def metrics_since(self) -> MetricsSince:
        """What the run writes into the metrics is behind this."""
        return MetricsSince(self.metrics_from, self.metrics_inode, self.metrics_files)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ProcessRecord:
        """The record that a JSON object describes. Raises KeyError, TypeError or ValueError where it describes none."""
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        places = places_from(known.pop("metrics_files", []))
        made = cls(**known)
        for name, field in cls.__dataclass_fields__.items():
            if name == "metrics_files":
                continue
            kind = {"int": int, "bool": bool}.get(str(field.type), str)
            if type(known.get(name, field.default)) is not kind:
                raise TypeError(f"{name} is not of type {kind.__name__}")
        numbers = (made.pid, made.ticks, made.generation, made.restarts)
        if made.wanted not in ("running", "stopped") or min(numbers) < 0:
            raise ValueError("wanted, pid, ticks, generation or restarts has a value that no process has")
        return replace(made, metrics_files=places)


def places_from(value: object) -> tuple[MetricsPlace, ...]:
    """The places that a JSON list describes. Raises TypeError where it describes none."""
    kinds = [str, int, int, str]
    if not isinstance(value, list | tuple) or not all(isinstance(place, list | tuple) for place in value):
        raise TypeError("the places of the metrics are no list")
    if any([type(part) for part in place] != kinds or place[2] < 0 for place in value):
        raise TypeError("a place of the metrics is none")
    return tuple(MetricsPlace(*place) for place in value)
