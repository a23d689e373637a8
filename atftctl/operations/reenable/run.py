"""One phase that this process carries out: its place, its state on disk, and who may change it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from atftctl.decide.plans.builder import RestartPolicy
from atftctl.domain.errors import InterventionNeeded, Refused
from atftctl.domain.reenabling import DOING_TEXTS, PhaseRecord, Reenabling
from atftctl.domain.result import Data, Part
from atftctl.domain.runbook import Phase
from atftctl.domain.verdict import Check
from atftctl.host import locks
from atftctl.host.process import owner
from atftctl.operations.change.project_lock import locked
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request
from atftctl.protocol.messages import Message, tr
from atftctl.state import history
from atftctl.state import reenable as store
from atftctl.state.layout import Layout

COMMAND = "reenable"
AT_WORK = ("changing", "watching", "undoing")  # a phase in this state has a process that carries it out
STOPS = ("halt", "phase")  # checks that say what ended the watch, and measured nothing
LOCK_S = 60.0  # how long a verdict waits for another operation, such as a backup, to end


@dataclass(frozen=True)
class GateLine(Data):
    """One part of a gate. name: `steps`, a check of `verify`, or what stopped the watch. verdict: `pass`, `fail` or
    `inconclusive`. detail: what was seen."""

    name: str
    verdict: str
    detail: str


@dataclass(frozen=True)
class ReenableData(Data):
    """One phase. plan_name: its plan. phase: its number. standing: how it stands now: `passed`, `accepted`, `failed`,
    `held` or `watching`. verdict: `pass`, `fail`, `inconclusive`, or empty where the gate was not judged. gate: what
    was seen. operation: id of the change; empty where the settings were in place. snapshot: what was there before.
    changes: settings that changed. undone_by: the undo that followed, where the gate failed."""

    plan_name: str
    phase: int
    standing: str
    verdict: str
    gate: tuple[GateLine, ...]
    operation: str
    snapshot: str
    changes: tuple[str, ...]
    undone_by: str = ""


@dataclass
class PhaseRun:
    """A phase that this process carries out. `changes`: the settings that it changed."""

    project: Project
    state: Reenabling
    number: int
    policy: RestartPolicy
    request: Request
    parts: list[Part] = field(default_factory=list)
    changes: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout:
        return self.project.layout

    @property
    def rule(self) -> Phase:
        """The phase as the runbook has it."""
        return self.project.runbook.plans[self.state.plan][self.number - 1]

    @property
    def phase(self) -> PhaseRecord:
        """The phase as its record has it."""
        phase = self.state.phase(self.number)
        assert phase is not None, "a phase that was begun has a record"
        return phase

    @property
    def place(self) -> Message:
        """The phase as people read it."""
        return place_of(self.project, self.state, self.number)

    def update(self, **fields: Any) -> None:
        """Change the phase's record on disk, under the project's lock. Raises Refused where the record is no longer
        ours: somebody abandoned the phases, or took them over."""
        with self.locked_for_record():
            self.update_locked(**fields)

    @contextmanager
    def locked_for_record(self) -> Iterator[None]:
        """Hold the project's lock to record how the phase stands. Raises InterventionNeeded where another operation
        holds it for too long."""
        wait_for_lock(self.layout)
        entered = False
        try:
            with locked(self.project, COMMAND, self.request):
                entered = True
                yield
        except Refused as error:
            if entered:
                raise
            raise InterventionNeeded(
                tr("{place}: how it stands could not be recorded: {reason}", place=self.place, reason=error.message),
                state=tr("what was found about the phase is not recorded; its record is as before"),
                hint=tr("once that operation has ended: atftctl resume"),
            ) from error

    def update_locked(self, **fields: Any) -> None:
        """As `update`, where the lock is held."""
        state = self.require_ours()
        phase = replace(replace(self, state=state).phase, **fields)
        maker = state.maker if phase.doing in AT_WORK else ""
        self.state = replace(state.having(phase), maker=maker)
        store.write(self.layout, self.state)

    def require_ours(self) -> Reenabling:
        """The progress on disk, which is still ours. Raises Refused where it is not."""
        state = store.read(self.layout)
        if not state or state.maker != self.state.maker or not state.phase(self.number):
            raise Refused(
                tr("{place}: the phases were abandoned or taken over by another process meanwhile", place=self.place),
                hint=tr("show where the phases stand: atftctl reenable --status"),
            )
        return state

    def ended_by_other(self) -> str:
        """Why another operation made this phase void while it was watched; "" where none did."""
        state = store.read(self.layout)
        phase = state.phase(self.number) if state else None
        return phase.note or DOING_TEXTS["void"] if phase and phase.doing == "void" else ""

    def log(self, outcome: str, exit_code: int, verdict: str, checks: Iterable[Check], reason: str = "") -> None:
        """Append the verdict to the history. `reason`: that of the operator."""
        lines = tuple(line_of(check) for check in checks) or self.phase.evidence
        log_phase(self, outcome, exit_code, verdict, lines, reason)

    def data(self, verdict: str, checks: Iterable[Check]) -> ReenableData:
        """The result of this phase for JSON."""
        phase = self.phase
        lines = tuple(GateLine(check.name, check.verdict.value, check.detail) for check in checks)
        return ReenableData(
            self.state.plan,
            self.number,
            phase.doing,
            verdict,
            lines,
            phase.operation,
            phase.snapshot,
            self.changes,
            phase.undone_by,
        )


def place_of(project: Project, state: Reenabling, number: int) -> Message:
    """A phase as people read it: its number, of how many, its title."""
    phases = project.runbook.plans.get(state.plan, ())
    title = phases[number - 1].title.say(project.language) if number <= len(phases) else "?"
    return tr("phase {number} of {count} ({title})", number=number, count=state.count, title=title)


def line_of(check: Check) -> Message:
    """A part of a gate in one line. What stopped the watch is a sentence by itself."""
    if check.name in STOPS and isinstance(check.detail, Message):
        return check.detail
    return tr("{check}: {detail}", check=check.name, detail=check.detail)


def log_phase(
    run: PhaseRun, outcome: str, exit_code: int, verdict: str, lines: tuple[str, ...], reason: str = ""
) -> None:
    """Append a line about a phase to the history. Raises OSError, HostError."""
    stamp = now()
    entry = history.new_entry(COMMAND, tr("{place}: {verdict}", place=run.place, verdict=verdict), reason, stamp)
    about = {"phase": str(run.number), "plan": run.state.plan, "gate": list(lines)}
    if run.phase.forced:
        about["forced"] = run.phase.forced
    ended = {"ended": stamp.isoformat(timespec="seconds"), "verdict": verdict}
    history.append(run.layout, {**entry, "about": about, "outcome": outcome, "exit_code": exit_code, **ended})


def owned(state: Reenabling) -> Reenabling:
    """The progress with this process as the one that changes or watches."""
    return replace(state, maker=owner.own_name())


def wait_for_lock(layout: Layout) -> None:
    """Wait while another operation holds the project's lock, for a limited time: a verdict that took minutes must not
    be lost because a backup is being taken."""
    deadline = time.monotonic() + LOCK_S
    while locks.holder(layout.lock) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
