"""One plan carried out: intent, evidence, stop, snapshot, files, start, end. The verbs in operations/ drive it in
this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from atftctl.apply import branch_move, packages, trainer_process
from atftctl.apply.launch import LaunchSpec
from atftctl.apply.moves import Content, Move, mode_of
from atftctl.apply.snapshots import pin as pins
from atftctl.apply.snapshots import take as snapshots
from atftctl.apply.snapshots.copier import room_needed
from atftctl.apply.transaction import FOR_GOOD, Transaction
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import AtftError, Restored
from atftctl.domain.plan import Plan
from atftctl.domain.process_record import ProcessRecord
from atftctl.domain.snapshot import Snapshot
from atftctl.domain.steps import Package, StopTrainer
from atftctl.host.copying.copier import Progress, no_progress
from atftctl.host.errors import HostError, reason
from atftctl.host.files.durable import write_durably
from atftctl.host.files.fingerprint import sha256_bytes
from atftctl.host.files.folders import make_dirs
from atftctl.host.files.reading import free_bytes
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.host.self_copy import private_copy
from atftctl.state import history, quarantine, sealed_records
from atftctl.state.layout import Layout

MARGIN = 2 << 20


@dataclass(frozen=True)
class OperationInputs:
    """What an operation was told, beside its plan."""

    reason: str
    contents: Mapping[str, Content]  # by target path
    digest: str  # of the configs as they will stand, "" where it can't be known
    start: LaunchSpec | None = None  # for after the change
    start_again: LaunchSpec | None = None  # for putting back a trainer that was stopped
    record: ProcessRecord | None = None  # of the trainer that runs now
    code: CodeMove | None = None  # the branch that follows the files
    quarantine: str = ""  # the digest of a config that is rolled back
    taking: snapshots.SnapshotSpec = field(
        default_factory=snapshots.SnapshotSpec
    )  # what the safety snapshot starts from


@dataclass
class Operation:
    """Made under the lock. Everything before `change` returns can be unwound; after it nothing is."""

    layout: Layout
    plan: Plan
    order: OperationInputs
    now: datetime
    note: Callable[[str], None]
    progress: Progress = no_progress
    snapshot: Snapshot | None = None
    decided: bool = False
    going_back: bool = False  # decided, and then found impossible: the decision to go back is written
    id: str = ""
    _packages: tuple[Package, ...] = ()
    _stopping: list[tuple[procs.Identity, ProcessRecord | None, float]] = field(default_factory=list)
    _transaction: Transaction = field(init=False)
    _entry: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        entry = history.new_entry(self.plan.command, self.plan.title, self.order.reason, self.now)
        self._entry = {**entry, "about": dict(self.plan.facts)}
        self.id = entry["operation"]
        self._transaction = Transaction(self.layout, self.id)

    def open(self, evidence: Mapping[str, bytes]) -> None:
        """Intent and evidence. Evidence that can't be written is said, and does not stand in the way."""
        self._intend()
        folder = self.layout.operations / self.id
        try:
            make_dirs(folder, 0o700)
            plan = {"command": self.plan.command, "steps": [step.describe() for step in self.plan.steps]}
            for name, data in {
                **evidence,
                "plan.json": sealed_records.plain(plan, indent=1),
            }.items():
                write_durably(folder / name, data, 0o600)
        except OSError as error:
            self.note(f"the evidence could not be saved: {reason(error)}")

    def _intend(self) -> None:
        """Who, why, and both wanted states of the process: after the change, and after putting back."""
        start = self.order.start
        again = self.order.start_again if self.plan.stops else None
        self._transaction.intend(
            {
                **self._entry,
                "start": start.resume if start else None,
                "start_again": again.resume if again else None,
                "digest": self.order.digest,
                "code": self.order.code.to_json() if self.order.code else None,
                "quarantine": self.order.quarantine,
                "reload": bool(self.plan.reload),
                "tool": private_copy.private_home(),
                "outside": list(self.layout.outside),
                "stopping": [{**vars(who), "grace_s": grace_s} for who, _, grace_s in self._stopping],
            }
        )

    def stop(self) -> list[int]:
        """Stop every trainer that the plan names; pids that had to be killed."""
        killed: list[int] = []
        for step in self.plan.stops:
            who, record = self._who(step)
            if who is None:
                continue
            self._stopping.append((who, record, step.grace_s))
            self._intend()
            adopted = bool(step.adopt_ticks)
            killed += trainer_process.stop(
                self.layout, record, who, grace_s=step.grace_s, note=self.note, adopted=adopted
            )
        return killed

    def _who(self, step: StopTrainer) -> tuple[procs.Identity | None, ProcessRecord | None]:
        """The very process that a step means, and its record if it has one."""
        if step.adopt_ticks:
            return procs.Identity(step.pid, step.adopt_ticks, procs.boot_id()), None
        record = self.order.record
        if record and (step.leftovers or record.pid == step.pid):
            return procs.Identity(record.pid, record.ticks, record.boot), record
        return procs.identify(step.pid), record

    def take_snapshot(self) -> None:
        """What stands now. Model files that the plan does not touch are left out where there is no room for them."""
        step = self.plan.snapshot
        if step is None:
            return
        needed = {target.path for target in self.plan.targets if not self._is_folder(target.path)}
        targets = {target.path for target in self.plan.targets}
        paths = [path for path in step.paths if path in needed or path not in targets]
        sizes = room_needed(self.layout, self.order.taking.reliance, paths)
        if sum(sizes.values()) + MARGIN > free_bytes(
            self.layout.backups if self.layout.backups.is_dir() else self.layout.root
        ):
            dropped = [path for path in paths if path not in needed and sizes.get(path, 0) > MARGIN // 4]
            paths = [path for path in paths if path not in dropped]
            if dropped:
                names = ", ".join(dropped)
                self.note(f"no room to copy {names}: left out of the safety snapshot (this plan does not change them)")
        paths += [path for path in sorted(needed) if path not in paths]
        about = replace(self.order.taking.about, reason=f"before {self.plan.command} {self.id}", operation=self.id)
        taking = replace(self.order.taking, about=about, paths=paths, optional=frozenset(paths) - needed)
        self.snapshot = snapshots.take(self.layout, taking, now=self.now, note=self.note, progress=self.progress)
        self._entry["snapshot"] = self.snapshot.id

    def _is_folder(self, path: str) -> bool:
        """A name that is to become a file's; what lies in it has names of its own in the plan."""
        place = self.layout.place(path)
        return place.is_dir() and not place.is_symlink()

    def change(self) -> None:
        """BEGIN, STAGE, COMMIT, APPLY. Returns with every file new, or raises with every file old."""
        self._keep_packages()
        moves = self._moves()
        if not moves and not self._packages:
            return
        if self.order.code:
            branch_move.rehearse(self.layout, self.order.code)
        self._entry["files"] = [
            {"path": move.path, "old": move.old, "new": move.new, "mode": move.old_mode, "new_mode": move.mode}
            for move in moves
        ]
        if self.order.code:
            self._entry["git"] = self.order.code.to_json()
        self._entry["changes"] = [change.describe() for change in self.plan.changes]
        self._intend()
        self._transaction.begin(moves)
        self._transaction.stage(self.order.contents)
        self._transaction.decide()
        self.decided = True
        try:
            self._transaction.replace()
        except OSError as error:
            if error.errno in FOR_GOOD:
                self._decide_to_go_back(error)
            raise
        if self.order.quarantine:
            with suppress(OSError, HostError):  # on a full disk the quarantine is lost, and no more than that
                quarantine.add(self.layout, self.order.quarantine, f"{self.plan.title}, {self.id}", self.now)
        if self.order.code:
            branch_move.finish(self.layout, self.order.code, moves, f"{self.plan.command} {self.id}")

    def _decide_to_go_back(self, error: OSError) -> None:
        """A file can't be replaced, and never will be: all of them go back. Raises Restored once that is decided."""
        name = self.snapshot.id if self.snapshot else ""
        if self.snapshot and not self.snapshot.pinned:
            pins.pin(self.layout, name, pins.needed_by(self.id))
        self._transaction.decide_to_go_back(name)
        self.going_back = True
        raise Restored(
            f"{error.filename or 'a file'} can't be replaced: {reason(error)}",
            state="every file is as it was",
            hint="atftctl doctor says what stands against it",
        ) from error

    def _keep_packages(self) -> None:
        """Before the decision: what is taken away can be put back then."""
        step = self.plan.packages
        if step and step.away:
            self._packages = packages.keep(self.layout, self.id, step.packages)
        elif step:
            packages.rehearse_back(self.layout, step.packages)
            self._packages = step.packages
        if step:
            self._entry["packages"] = {"away": step.away, "packages": [vars(one) for one in self._packages]}

    def change_packages(self) -> None:
        """After the files, and after the decision. Raises OSError, HostError."""
        if self._packages:
            packages.change(self.layout, self._entry["packages"])

    def start(self) -> ProcessRecord | None:
        if self.order.start is None:
            return None
        return trainer_process.start(
            self.layout, self.order.start, digest=self.order.digest, now=datetime.now().astimezone()
        )

    def close(self, outcome: str, exit_code: int, **more: Any) -> None:
        """The history line, then the records go. Nothing of an operation that changed nothing stays open."""
        self._record(outcome, exit_code, **more)
        self._transaction.close()

    def _record(self, outcome: str, exit_code: int, **more: Any) -> None:
        history.append(
            self.layout, {**self._entry, "outcome": outcome, "exit_code": exit_code, "ended": _stamp(), **more}
        )

    def unwind(self, error: BaseException) -> None:
        """Before COMMIT, or after the decision to go back: old files in place, staged files away, a trainer that we
        stopped started again. Raises what could not be put back."""
        if self.going_back:
            self._transaction.go_back(self.snapshot.id if self.snapshot else "")
        elif self.decided:
            raise AssertionError("unwind after the decision")
        else:
            self._transaction.unwind()
        for who, record, grace_s in self._stopping:  # asked to leave, it must not be taken for one that stays
            trainer_process.stop(self.layout, record, who, grace_s=grace_s, note=self.note, adopted=record is None)
        if self._stopping and self.order.start_again:
            trainer_process.start(self.layout, self.order.start_again, digest="", now=datetime.now().astimezone())
        exit_code = error.exit_code if isinstance(error, AtftError) else Restored.exit_code
        self._entry["files"] = []
        with suppress(OSError, HostError):  # on a full disk the line is lost; nothing had changed that it would tell of
            self._record("put back", int(exit_code), error=str(error) or type(error).__name__)
        self._transaction.close()
        if self.going_back and self.snapshot:
            pins.unpin_after(self.layout, self.snapshot.id, self.id)

    def _moves(self) -> list[Move]:
        moves = []
        paths = frozenset(target.path for target in self.plan.targets)
        for number, target in enumerate(self.plan.targets):
            path = self.layout.place(target.path)
            content = self.order.contents.get(target.path)
            new = target.new if not isinstance(content, bytes) else sha256_bytes(content)
            mode = target.mode & 0o777 if target.snapshot or target.moded else mode_of(path)
            old = self._stands(target.path)
            if old != target.old and not target.volatile:
                raise Restored(
                    f"{target.path} was changed after the plan was made",
                    hint="look at the plan again, and run it again",
                )
            staged = f".{self.id}.{number}.staged"  # never longer than a file system takes, as the target's name may be
            new = None if target.removes else new
            moves.append(
                Move(
                    target.path,
                    staged,
                    old,
                    new,
                    mode,
                    self._old_mode(target.path, mode),
                    _folder(self.layout, target.path, path, paths),
                    self._kept(self.snapshot, target.path),
                    self._kept(self._restored(target.snapshot), target.path),
                )
            )
        return moves

    def _restored(self, name: str) -> Snapshot | None:
        """The snapshot that a target comes back from."""
        known = self.order.taking.reliance.snapshots
        return next((snapshot for snapshot in known if snapshot.id == name), None) if name else None

    def _kept(self, snapshot: Snapshot | None, path: str) -> dict[str, Any] | None:
        """What a file has beside its bytes, for where it is not there to be asked. Where root acts for a user, nothing
        becomes anybody else's."""
        file = snapshot.file(path) if snapshot else None
        kept = dict(file.kept) if file and file.kept else None
        user = rights.user_of(self.layout.root)
        return {**kept, "uid": user.uid, "gid": user.gid} if kept and user else kept

    def _stands(self, path: str) -> str | None:
        """What the safety snapshot found, which was hashed while it was copied."""
        if self.snapshot is None:
            return None
        return self.snapshot.digests().get(path)

    def _old_mode(self, path: str, default: int) -> int:
        file = self.snapshot.file(path) if self.snapshot else None
        return file.mode if file else default


def _folder(layout: Layout, path: str, target: Path, paths: frozenset[str]) -> str | None:
    """Where the staged file of this target lies, where that is not beside it: a file whose name becomes a folder's, or
    the other way round, by what stands there or by what comes."""
    parents = [str(folder) for folder in PurePosixPath(path).parents]
    there = next(folder for folder in target.parents if os.path.lexists(folder))
    stands_so = there.is_dir() and (target.is_symlink() or not target.is_dir())
    if stands_so and not paths & set(parents) and not any(other.startswith(f"{path}/") for other in paths):
        return None
    return next(folder for folder in parents if (layout.root / folder).is_dir() and folder not in paths)


def _stamp() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
