"""What was observed, as frozen records. Decisions are made from these alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.process_state import ProcessState
from atftctl.domain.record import record
from atftctl.domain.snapshot import Snapshot


@record
class ConfigFile:
    """One config file as it stands. `sha256` is None where there is no file; `error` says why it can't be read, and
    `way_back` is the command that brings a copy of it back that can be."""

    path: str
    sha256: str | None
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    way_back: str = ""

    def get(self, key: tuple[str, ...]) -> Any:
        """The value at `key`, or None where it, or something above it, is missing."""
        value: Any = self.data
        for name in key:
            if not isinstance(value, Mapping) or name not in value:
                return None
            value = value[name]
        return value


@record
class UnmanagedTrainer:
    """A trainer of this project that the tool did not start."""

    pid: int
    start_ticks: int
    user: str
    command: str
    ours_to_signal: bool


@record
class Process:
    """The recorded trainer, and trainers that were started by hand."""

    state: ProcessState = "never started"
    pid: int | None = None
    run_id: str = ""
    since: str = ""
    digest: str = ""
    step: int | None = None
    last_event: Mapping[str, Any] | None = None
    memory_mb: float | None = None
    unmanaged: tuple[UnmanagedTrainer, ...] = ()
    leftovers: tuple[int, ...] = ()  # living processes of the recorded run whose main process is gone
    section: str = ""  # what it is doing, by its heartbeat: start, step, evaluate, save, reload
    silent_s: float | None = None  # since its last sign of life, where that is longer than the section may last
    where: str = ""  # the machine or container that it was started on, where that is not this one

    @property
    def alive(self) -> bool:
        return self.state in ("starting", "running", "stopping")


@record
class OpenOperation:
    """An operation that a crash left open, and what recovery will do about it."""

    id: str
    state: Literal["intent", "begin", "commit"]
    command: str
    reason: str

    @property
    def summary(self) -> str:
        return f"an operation was left open: recovery will {self.remedy}"

    @property
    def remedy(self) -> str:
        if self.state == "commit":
            return f"finish {self.command} {self.id} (it had been decided)"
        return f"unwind {self.command} {self.id} (it had not been decided)"


@record
class Facts:
    configs: Mapping[str, ConfigFile]
    process: Process
    snapshots: tuple[Snapshot, ...] = ()
    open_operation: OpenOperation | None = None
    digests: Mapping[str, str | None] = field(default_factory=dict)  # of files that a plan may replace
    warnings: tuple[str, ...] = ()
