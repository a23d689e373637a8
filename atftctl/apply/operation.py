"""Carry out one plan: intent, evidence, stop, snapshot, files, start, end; operations/ calls them in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from atftctl.apply import branch_move, packages, staging_folders, trainer_process
from atftctl.apply.moves import Content
from atftctl.apply.snapshots import pin as pins
from atftctl.apply.snapshots import take as snapshots
from atftctl.apply.snapshots.safety import safety_spec
from atftctl.apply.target_moves import moves_for
from atftctl.apply.transaction import FOR_GOOD, Transaction
from atftctl.domain.code_steps import Package
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import AtftError, Restored
from atftctl.domain.launch import LaunchSpec
from atftctl.domain.plan import Plan, with_targets
from atftctl.domain.process_record import ProcessRecord, TrainerIdentity
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.steps import StopTrainer, Target
from atftctl.domain.units import unit_of
from atftctl.host.copying.copier import Progress, no_progress
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.folders import make_dirs
from atftctl.host.self_copy import private_copy
from atftctl.protocol.messages import record_of, tr
from atftctl.state import history, quarantine, sealed_records
from atftctl.state.engines.choice import engine_of
from atftctl.state.layout import Layout


@dataclass(frozen=True)
class OperationInputs:
    """What an operation needs beside its plan."""

    reason: str
    contents: Mapping[str, Content]  # by target path
    digest: str  # of the configs after the change; empty where it can't be known
    start: LaunchSpec | None = None  # how to start the trainer after the change
    start_again: LaunchSpec | None = None  # how to start a stopped trainer again when the operation is unwound
    record: ProcessRecord | None = None  # of the trainer that runs now
    code: CodeMove | None = None  # how the branch moves once the files are in place
    quarantine: str = ""  # digest of the config that is rolled back, and that is not to be started again
    snapshot_spec: snapshots.SnapshotSpec = field(default_factory=snapshots.SnapshotSpec)  # for the safety snapshot


@dataclass
class Operation:
    """One plan that is being carried out, under the project lock.

    Until `change` decides, everything can be unwound; from then on the operation is finished, now or by recovery.
    """

    layout: Layout
    plan: Plan
    inputs: OperationInputs
    now: datetime
    note: Callable[[str], None]
    progress: Progress = no_progress
    snapshot: Snapshot | None = None
    decided: bool = False
    going_back: bool = False  # a decided change turned out to be impossible, and the decision to go back is written
    id: str = ""
    _packages: tuple[Package, ...] = ()
    _stopping: list[tuple[TrainerIdentity, ProcessRecord | None, float]] = field(default_factory=list)
    _transaction: Transaction = field(init=False)
    _entry: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        entry = history.new_entry(self.plan.command, self.plan.title, self.inputs.reason, self.now)
        self._entry = {**entry, "about": dict(self.plan.facts)}
        self.id = entry["operation"]
        self._transaction = Transaction(self.layout, self.id)

    def open(self, evidence: Mapping[str, bytes]) -> None:
        """Write the intent, then the evidence. Evidence that can't be written is noted and does not stop the operation.

        Raises OSError where the intent can't be written.
        """
        self._intend()
        folder = self.layout.operations / self.id
        try:
            make_dirs(folder, 0o700)
            steps = [step.describe() for step in self.plan.steps]
            texts = {"title": record_of(self.plan.title), "steps": list(map(record_of, steps))}
            plan = {"command": self.plan.command, "steps": steps, "texts": texts}
            for name, data in {**evidence, "plan.json": sealed_records.plain(plan, indent=1)}.items():
                write_durably(folder / name, data, 0o600)
        except OSError as error:
            self.note(tr("the evidence could not be saved: {reason}", reason=reason(error)))

    def _intend(self) -> None:
        """Record who, why, and whether a trainer is to run: after the change, and after the operation is unwound."""
        start = self.inputs.start
        again = self.inputs.start_again if self.plan.stops else None
        self._transaction.intend(
            {
                **self._entry,
                "start": start.resume if start else None,
                "start_again": again.resume if again else None,
                "digest": self.inputs.digest,
                "code": self.inputs.code.to_json() if self.inputs.code else None,
                "quarantine": self.inputs.quarantine,
                "reload": bool(self.plan.reload),
                "tool": private_copy.private_home(),
                "outside": list(self.layout.outside),
                "stopping": [{**vars(who), "grace_s": grace_s} for who, _, grace_s in self._stopping],
            }
        )

    def stop(self) -> list[int]:
        """Stop every trainer that the plan names, and return the pids that had to be killed.

        Raises InterventionNeeded where a process does not end; Refused where this command runs below the trainer.
        """
        killed: list[int] = []
        for step in self.plan.stops:
            who, record = self._process_of(step)
            if who is None:
                continue
            self._stopping.append((who, record, step.grace_s))
            self._intend()
            killed += trainer_process.stop(
                self.layout,
                record,
                who,
                grace_s=step.grace_s,
                note=self.note,
                adopted=bool(step.adopt_ticks),
                fenced=step.fence,
            )
        return killed

    def _process_of(self, step: StopTrainer) -> tuple[TrainerIdentity | None, ProcessRecord | None]:
        """Return the process that a step means, and its record if it has one."""
        if step.adopt_ticks:
            return step.adopted, None
        record = self.inputs.record
        if record and (step.leftovers or record.pid == step.pid):
            return record.identity, record
        return engine_of(record).find(self.layout, record) if record else None, record

    def fence(self) -> None:
        """Before files are replaced and a trainer is started: let no trainer that was taken for lost undo that.

        What can't be renamed is noted here, and refused when the trainer is started.
        """
        if self.inputs.start is None:
            return
        try:
            staging_folders.fence(self.layout)
        except (OSError, HostError) as error:
            self.note(reason(error))

    def settle_units(self) -> None:
        """Once the trainer has stopped: what it wrote since the plan was made into a place that is restored whole goes,
        too. Raises OSError."""
        known, listing = {target.path for target in self.plan.targets}, self.inputs.snapshot_spec.listing
        further = [
            Target(path, old=None, volatile=True, unit=unit_of((unit.name,), path))
            for unit in self.plan.units
            for path in listing(unit.name)
            if path not in known and not unit.keeps(path)
        ]
        self.plan = with_targets(self.plan, tuple(further))

    def take_snapshot(self) -> None:
        """Copy what is there now, so that the operation can be undone. Raises Restored, DiskFull."""
        if self.plan.snapshot is None:
            return
        spec = safety_spec(self.layout, self.plan, self.inputs.snapshot_spec, self.id, self.note)
        self.snapshot = snapshots.take(self.layout, spec, now=self.now, note=self.note, progress=self.progress)
        self._entry["snapshot"] = self.snapshot.id

    def change(self) -> None:
        """BEGIN, STAGE, COMMIT, APPLY. Returns with every file new; where it raises before COMMIT, every file is old.

        Raises Restored where a file can't be changed; OSError, HostError.
        """
        self._keep_packages()
        known = self.inputs.snapshot_spec.reliance.snapshots
        moves = moves_for(self.layout, self.id, self.plan.targets, self.inputs.contents, self.snapshot, known)
        if not moves and not self._packages:
            return
        if self.inputs.code:
            branch_move.rehearse(self.layout, self.inputs.code)
        self._entry["files"] = [
            {"path": move.path, "old": move.old, "new": move.new, "mode": move.old_mode, "new_mode": move.mode}
            for move in moves
        ]
        if self.inputs.code:
            self._entry["git"] = self.inputs.code.to_json()
        self._entry["changes"] = [change.describe() for change in self.plan.changes]
        self._intend()
        self._transaction.begin(moves)
        self._transaction.stage(self.inputs.contents)
        self._transaction.decide()
        self.decided = True
        try:
            self._transaction.replace()
        except OSError as error:
            if error.errno in FOR_GOOD:
                self._decide_to_go_back(error)
            raise
        if self.inputs.quarantine:
            with suppress(OSError, HostError):  # on a full disk only the quarantine is lost
                quarantine.add(self.layout, self.inputs.quarantine, f"{self.plan.title}, {self.id}", self.now)
        if self.inputs.code:
            branch_move.finish(self.layout, self.inputs.code, moves, f"{self.plan.command} {self.id}")

    def _decide_to_go_back(self, error: OSError) -> None:
        """Decide to put all files back, because one of them can never be replaced. Always raises: Restored once that is
        decided, InterventionNeeded where it can't be."""
        name = self.snapshot.id if self.snapshot else ""
        if self.snapshot and not self.snapshot.pinned:
            pins.pin(self.layout, name, pins.needed_by(self.id))
        self._transaction.decide_to_go_back(name)
        self.going_back = True
        raise Restored(
            tr("{path} can't be replaced: {reason}", path=error.filename or tr("a file"), reason=reason(error)),
            state=tr("every file is as it was before the operation"),
            hint=tr("find the cause with: atftctl doctor"),
        ) from error

    def _keep_packages(self) -> None:
        """Before the decision: archive the packages that are to go, or check the archives of those that come back."""
        step = self.plan.packages
        if step and step.away:
            self._packages = packages.keep(self.layout, self.id, step.packages)
        elif step:
            packages.rehearse_back(self.layout, step.packages)
            self._packages = step.packages
        if step:
            self._entry["packages"] = {"away": step.away, "packages": [vars(package) for package in self._packages]}

    def change_packages(self) -> None:
        """Uninstall or put back the plan's packages; called after the decision. Raises OSError, HostError."""
        if self._packages:
            packages.change(self.layout, self._entry["packages"])

    def start(self) -> ProcessRecord | None:
        """Start the trainer where the plan says so. Raises OSError, HostError."""
        if self.inputs.start is None:
            return None
        return self._start(self.inputs.start, self.inputs.digest)

    def _start(self, launch: LaunchSpec, digest: str) -> ProcessRecord:
        record = trainer_process.start(self.layout, launch, digest=digest, now=datetime.now().astimezone())
        self._entry["generation"] = record.generation
        return record

    def close(self, outcome: str, exit_code: int, **more: Any) -> None:
        """Append the history line, then remove the journal's records. Raises OSError, HostError."""
        self._record(outcome, exit_code, **more)
        self._transaction.close()

    def _record(self, outcome: str, exit_code: int, **more: Any) -> None:
        history.append(
            self.layout, {**self._entry, "outcome": outcome, "exit_code": exit_code, "ended": _stamp(), **more}
        )

    def unwind(self, error: BaseException) -> None:
        """Put back the old files, remove the staged ones, and start a trainer again that this operation stopped.

        Called before COMMIT, or after the decision to go back. Raises what could not be put back.
        """
        if self.going_back:
            self._transaction.go_back(self.snapshot.id if self.snapshot else "")
        elif self.decided:
            raise AssertionError("an operation can't be unwound after the decision")
        else:
            self._transaction.unwind()
        for who, record, grace_s in self._stopping:  # asked to stop, it must not be taken for one that runs on
            trainer_process.stop(self.layout, record, who, grace_s=grace_s, note=self.note, adopted=record is None)
        if self._stopping and self.inputs.start_again:
            self._start(self.inputs.start_again, "")
        exit_code = error.exit_code if isinstance(error, AtftError) else Restored.exit_code
        self._entry["files"] = []
        with suppress(OSError, HostError):  # on a full disk the line is lost; it would only say that nothing changed
            self._record("put back", int(exit_code), error=str(error) or type(error).__name__)
        self._transaction.close()
        if self.going_back and self.snapshot:
            pins.unpin_after(self.layout, self.snapshot.id, self.id)


def _stamp() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
