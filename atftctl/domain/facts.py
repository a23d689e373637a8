"""What was observed of the project, as frozen records. Decisions are made from these records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from atftctl.domain.engines import LOCAL, name_of
from atftctl.domain.process_state import ProcessState
from atftctl.domain.record import record
from atftctl.domain.snapshot import Snapshot
from atftctl.protocol import placed
from atftctl.protocol.messages import Message, tr

EXITED = "exited"  # in place of a last event, where the trainer wrote none and its exit code is known


@record
class ConfigFile:
    """One config file. `sha256` is None where there is no file. `error`: why it can't be read; `way_back`: the command
    that restores a readable copy of it. `namespace`: the key under which the trainer merges it."""

    path: str
    sha256: str | None
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    way_back: str = ""
    namespace: tuple[str, ...] = ()

    @property
    def layer(self) -> Mapping[str, Any]:
        """Its settings where the trainer merges them."""
        return placed(self.data, self.namespace)

    def get(self, key: tuple[str, ...]) -> Any:
        """The value at `key`; None where the key, or a mapping above it, is missing."""
        value: Any = self.data
        for name in key:
            if not isinstance(value, Mapping) or name not in value:
                return None
            value = value[name]
        return value


@record
class UnmanagedTrainer:
    """A trainer of this project that atftctl did not start. `ours_to_signal`: this user may stop it. `why_not`: why
    nobody may stop it by atftctl; "" where it may be stopped. `engine`, `place`: as in TrainerIdentity."""

    pid: int
    start_ticks: int
    user: str
    command: str
    ours_to_signal: bool
    engine: str = LOCAL
    place: str = ""
    why_not: str = ""

    @property
    def name(self) -> Message:
        """What people call it."""
        return name_of(self.engine, self.pid)


@record
class Process:
    """The trainer that atftctl started last, and trainers that were started by hand (`unmanaged`).

    `since`: when it was started, as ISO 8601. `digest`: of the settings it runs with. `step`: its last training step.
    `generation`: the number of its start; 0 where that is not known.
    """

    state: ProcessState = "never started"
    pid: int | None = None
    run_id: str = ""
    since: str = ""
    digest: str = ""
    step: int | None = None
    last_event: Mapping[str, Any] | None = None
    memory_mb: float | None = None
    unmanaged: tuple[UnmanagedTrainer, ...] = ()
    leftovers: tuple[int, ...] = ()  # pids of the recorded run that are alive although its main process is gone
    section: str = ""  # the work in progress, by its heartbeat: start, step, evaluate, save, reload
    silent_s: float | None = None  # seconds since its last heartbeat, where the section may not last so long
    generation: int = 0
    where: str = ""  # the other machine or container that it was started on; "" for this one
    ready: str = ""  # the kind of proof that its start waits for (domain.readiness.ProofKind); "": its first step
    proof: str = ""  # the kind of the proof that was seen of a trainer that writes no events
    speaks: bool = False  # the trainer of this run has written an event
    engine: str = LOCAL  # what runs it
    waiting: str = ""  # why it waits in a queue; "" where it does not
    unknown: str = ""  # why its state can't be asked; "" where it can
    unproven: str = ""  # who, where, since when: of a run that nobody can show to have ended; "" for all others
    blocked: bool = False  # what is unproven stays so until a person has looked
    remark: str = ""  # what contradicts the signs of life

    @property
    def name(self) -> Message:
        """What people call it; it must have a pid."""
        return name_of(self.engine, self.pid or 0)

    @property
    def alive(self) -> bool:
        return self.state in ("waiting", "starting", "running", "stopping", "lost", "unknown")

    @property
    def may_save(self) -> bool:
        """May a trainer replace the checkpoints: ours, one that was started by hand, or one on another machine?"""
        return self.alive or bool(self.unmanaged) or bool(self.where)

    @property
    def how_to_stop(self) -> str:
        """The hint that says how the trainer that may save is stopped."""
        if self.where:
            return tr("stop the trainer on {place} first (if it has ended: rm .atftctl/process.json)", place=self.where)
        adopt = "".join(f" --adopt {trainer.pid}" for trainer in self.unmanaged)
        return tr("stop the trainer first: atftctl trainer stop{options}", options=adopt)


@record
class OpenOperation:
    """An operation that a crash left open. `state`: its last journal record."""

    id: str
    state: Literal["intent", "begin", "commit"]
    command: str
    reason: str

    @property
    def summary(self) -> str:
        """The sentence that says so, and what recovery will do about it."""
        if self.state == "commit":
            return tr(
                "an operation was interrupted: recovery will finish {command} {id} (its change had been decided)",
                command=self.command,
                id=self.id,
            )
        return tr(
            "an operation was interrupted: recovery will reverse {command} {id} (its change had not been decided)",
            command=self.command,
            id=self.id,
        )

    @property
    def remedy(self) -> str:
        """What recovery will do about it: finish it or undo it."""
        if self.state == "commit":
            return tr("finish {command} {id} (its change had been decided)", command=self.command, id=self.id)
        return tr("reverse {command} {id} (its change had not been decided)", command=self.command, id=self.id)


@record
class Facts:
    """Everything that a plan is made from."""

    configs: Mapping[str, ConfigFile]
    process: Process
    snapshots: tuple[Snapshot, ...] = ()
    open_operation: OpenOperation | None = None
    digests: Mapping[str, str | None] = field(default_factory=dict)  # SHA-256 by path, of files that a plan may replace
    warnings: tuple[str, ...] = ()
