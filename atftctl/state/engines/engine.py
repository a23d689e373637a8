"""What atftctl asks of whatever runs the trainer. `choice.py` says which engine that is; no other module knows one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from atftctl.domain.engines import Placement
from atftctl.domain.facts import UnmanagedTrainer
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.record import record as frozen
from atftctl.state.exits import End
from atftctl.state.layout import Layout


@frozen
class Seen:
    """What an engine sees of the recorded run now. `main`: its identity, where it is alive, or not known to have ended.
    `pids`: of every living process of the run on this machine. `left`: those of them that are stopped where `main` has
    ended. `where`: the other machine or container that it was
    started on, "" for this one. `memory_mb`: of all its processes, None where that is not known. The other parts are
    those of `domain.facts.Process`."""

    main: TrainerIdentity | None = None
    pids: frozenset[int] = frozenset()
    left: frozenset[int] = frozenset()
    where: str = ""
    memory_mb: float | None = None
    waiting: str = ""
    unknown: str = ""
    unproven: str = ""
    blocked: bool = False
    remark: str = ""


@frozen
class Problem:
    """`text`: what is wrong. `hint`: what to do about it. `certain`: another machine would say the same."""

    text: str
    hint: str = ""
    certain: bool = False


@dataclass(frozen=True)
class StopOrder:
    """How a trainer is to be stopped. `grace_s`: how many seconds it has to save. `adopted`: the operator has named
    this process. `ask`: writes the request that several processes read at the same step; False where it could not be
    written. `ended`: called once nothing of the run is left. `note`: called with a message."""

    grace_s: float
    adopted: bool
    ask: Callable[[], bool]
    ended: Callable[[], None]
    note: Callable[[str], None]


class Engine(Protocol):
    """One way to run a trainer. Every method answers for the recorded run, and for no other process."""

    def submit(
        self, layout: Layout, launch: LaunchSpec, record: ProcessRecord, env: Mapping[str, str], output: Path
    ) -> TrainerIdentity | None:
        """Start the trainer; return its identity, None where it has ended by now. The record is on the disk by then, so
        that `find` knows the run after a crash. `output`: what its output is appended to. Raises HostError, OSError
        where nothing was started."""

    def find(self, layout: Layout, record: ProcessRecord) -> TrainerIdentity | None:
        """The living main process of the run; None where there is none. It is found also where its start was not
        recorded."""

    def members(self, layout: Layout, record: ProcessRecord) -> frozenset[int]:
        """The pids of all living processes of the run, also where its main process is gone."""

    def state(self, layout: Layout, record: ProcessRecord) -> Seen:
        """All that is seen of the run."""

    def waiting(self, layout: Layout, record: ProcessRecord) -> str:
        """Why the run waits in a queue; "" where it does not, or has begun."""

    def is_running(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        """Is this one alive, or not known to have ended?"""

    def may_stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity) -> bool:
        """Is this the trainer of this project, which may be stopped without being named by the operator?"""

    def holds_us(self, who: TrainerIdentity) -> bool:
        """Does this command run inside this trainer?"""

    def stop(self, layout: Layout, record: ProcessRecord | None, who: TrainerIdentity, order: StopOrder) -> list[int]:
        """Stop the trainer and all that belongs to it; return the pids that had to be killed. Raises Refused, and
        InterventionNeeded where it is not ended after that."""

    def read_exit(self, layout: Layout, record: ProcessRecord) -> End | None:
        """How the recorded trainer ended; None where it runs, or its end is not known."""

    def by_hand(
        self, layout: Layout, record: ProcessRecord | None, processes: tuple[UnmanagedTrainer, ...]
    ) -> tuple[UnmanagedTrainer, ...]:
        """Trainers of the project that atftctl did not start. `processes`: those of this machine that are known by
        their command line."""

    def problem(self, root: Path, placement: Placement | None) -> Problem | None:
        """What keeps this engine from starting a trainer here; None where nothing does."""
