"""The steps of a plan: what each one changes, and how it describes itself to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atftctl.domain.baseline_steps import RemoveBaseline, UseBaseline
from atftctl.domain.code_steps import ChangePackages, MoveBranch, RevertCommits
from atftctl.domain.confirm_steps import AwaitConfirmation
from atftctl.domain.engines import LOCAL, name_of, stop_text
from atftctl.domain.gate import DecideByHand, WatchGate
from atftctl.domain.process_record import TrainerIdentity
from atftctl.domain.readiness import Ready
from atftctl.domain.record import record
from atftctl.domain.rehearse_steps import Rehearse
from atftctl.domain.runbook import Stage, Value
from atftctl.domain.snapshot_steps import CopyFiles, ExportFiles, PinSnapshot, RemoveSnapshot
from atftctl.domain.text import value_text
from atftctl.domain.units import Unit
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import Message, joined, tr, trn

MANY = 8  # files; a step that changes more of them counts them instead of naming each


@dataclass(frozen=True)
class SettingChange:
    """One setting of one config file and its new value. `old` is None where the setting is missing."""

    feature: str
    file: str
    key: tuple[str, ...]
    old: Any
    new: Value | None

    def describe(self) -> str:
        """As `KEY: OLD → NEW`."""
        old = tr("(not set)") if self.old is None else value_text(self.old)
        return tr("{key}: {old} → {new}", key=key_text(self.key), old=old, new=value_text(self.new))


@dataclass(frozen=True)
class Target:
    """One file that a step changes, in exactly one of these ways: its settings are edited, it is restored from a
    snapshot (`changes` are then edited in the restored text), it is taken from a commit, or it is removed."""

    path: str
    old: str | None  # SHA-256 of the current file; None where there is no file, or where it is volatile
    changes: tuple[SettingChange, ...] = ()
    snapshot: str = ""
    commit: str = ""
    copy: str = ""  # path of the snapshot's copy, relative to the project
    new: str | None = None  # SHA-256 of the new file, before `changes`
    mode: int = 0o644
    moded: bool = False  # `mode` is to be set, though no snapshot says so
    volatile: bool = False  # the trainer writes it: its content is read after the trainer has stopped
    unit: str = ""  # the folder that the file is a part of: it does not stay behind empty

    @property
    def removes(self) -> bool:
        return not (self.changes or self.snapshot or self.commit)

    def describe(self) -> str:
        if self.changes:
            count = len(self.changes)
            if self.snapshot:
                return trn(
                    "restore {path} from {snapshot}, with {count} setting changed",
                    "restore {path} from {snapshot}, with {count} settings changed",
                    count,
                    path=self.path,
                    snapshot=self.snapshot,
                )
            return trn("change {count} setting in {path}", "change {count} settings in {path}", count, path=self.path)
        if self.snapshot:
            return tr("restore {path} from {snapshot}", path=self.path, snapshot=self.snapshot)
        if self.commit:
            return tr("restore {path} from commit {commit}", path=self.path, commit=self.commit[:12])
        return tr("remove {path}", path=self.path)


@record
class RecoverFirst:
    """Finish or undo an operation that a crash left open. `what`: what recovery will do."""

    what: str

    def describe(self) -> str:
        return tr("recover: {what}", what=self.what)


@record
class SaveEvidence:
    """Copy logs, metrics, config files and the state of the process to the operation's folder."""

    def describe(self) -> str:
        return tr("save the evidence: logs, metrics, config, process")


@record
class StopTrainer:
    """Stop one trainer: SIGTERM, and SIGKILL after `grace_s` seconds."""

    pid: int
    grace_s: float
    adopt_ticks: int = 0  # the start time of a trainer started by hand that the operator named
    leftovers: tuple[int, ...] = ()  # the main process is gone, these processes of its run are still alive
    engine: str = LOCAL
    place: str = ""  # of a trainer started by hand, as in UnmanagedTrainer
    fence: bool = False  # go on where it can't be shown to have ended

    @property
    def adopted(self) -> TrainerIdentity:
        """The trainer started by hand that the operator named."""
        return TrainerIdentity(self.pid, self.adopt_ticks, self.place, engine=self.engine)

    @property
    def name(self) -> Message:
        """What people call it."""
        return name_of(self.engine, self.pid)

    def describe(self) -> str:
        if self.leftovers:
            return tr(
                "stop the remaining processes of the last run: pid {pids}", pids=joined(", ", map(str, self.leftovers))
            )
        if self.adopt_ticks:
            return tr(
                "stop the manually started trainer ({process}): SIGTERM, then SIGKILL after {grace_s:g} s",
                process=self.name,
                grace_s=self.grace_s,
            )
        text = stop_text(self.engine, self.name, self.grace_s)
        if not self.fence:
            return text
        return tr(
            "{stop}; where it can't be shown to have ended, go on behind the fence: what that trainer saves from then "
            "on does not replace a checkpoint",
            stop=text,
        )


@record
class TakeSnapshot:
    """Take a snapshot of the current files, so that the change can be undone."""

    paths: tuple[str, ...]

    def describe(self) -> str:
        return trn(
            "take a snapshot of the current state ({count} file)",
            "take a snapshot of the current state ({count} files)",
            len(self.paths),
        )


@record
class ChangeFiles:
    """Change all of these files, or none of them. `units`: places that hold no other files afterwards."""

    targets: tuple[Target, ...]
    units: tuple[Unit, ...] = ()

    def describe(self) -> str:
        replaced = [target for target in self.targets if not target.changes]
        if len(replaced) <= MANY:
            return joined("; ", [target.describe() for target in self.targets])
        edited = [target.describe() for target in self.targets if target.changes]
        return joined("; ", [*_counted(replaced), *edited])


def _counted(targets: Sequence[Target]) -> list[str]:
    """How many files come from each snapshot and commit, and how many are removed: for too many files to name."""
    sources = [target.snapshot or (target.commit and f"commit {target.commit[:12]}") for target in targets]
    texts: list[str] = []
    for source in dict.fromkeys(filter(None, sources)):
        count = sources.count(source)
        texts.append(
            trn("restore {count} file from {source}", "restore {count} files from {source}", count, source=source)
        )
    if removed := sources.count(""):
        texts.append(trn("remove {count} file", "remove {count} files", removed))
    return texts


@record
class StartTrainer:
    """Start the trainer from a checkpoint (`resume`) and wait up to `ready_s` seconds for its first step, or for what
    `ready` says of a trainer that writes no events."""

    resume: str
    memory_limit_mb: int
    ready_s: float
    ready: Ready | None = None
    queue_s: float = 0.0  # how long it may wait in a queue before that; 0: it does not wait in one

    def describe(self) -> str:
        if self.queue_s:
            start = self._describe()
            return tr("{start}; before that, wait up to {queue_s:g} s in the queue", start=start, queue_s=self.queue_s)
        return self._describe()

    def _describe(self) -> str:
        if self.ready:
            return self._describe_ready(self.ready)
        if self.memory_limit_mb:
            return tr(
                "start the trainer from {resume}, memory limit {limit_mb} MB, wait up to {ready_s:g} s "
                "for its first step",
                resume=self.resume,
                limit_mb=self.memory_limit_mb,
                ready_s=self.ready_s,
            )
        return tr(
            "start the trainer from {resume}, wait up to {ready_s:g} s for its first step",
            resume=self.resume,
            ready_s=self.ready_s,
        )

    def _describe_ready(self, ready: Ready) -> str:
        start = tr("start the trainer from {resume}", resume=self.resume)
        if self.memory_limit_mb:
            start = tr(
                "start the trainer from {resume}, memory limit {limit_mb} MB",
                resume=self.resume,
                limit_mb=self.memory_limit_mb,
            )
        return tr(
            "{start}, wait up to {ready_s:g} s until this is true: {condition} (its settings can't be checked)",
            start=start,
            ready_s=self.ready_s,
            condition=ready.waits_for,
        )


@record
class ReloadTrainer:
    """Tell the running trainer to reload its settings, and wait up to `ready_s` seconds until it confirms them."""

    pid: int
    ready_s: float
    engine: str = LOCAL

    @property
    def name(self) -> Message:
        """What people call it."""
        return name_of(self.engine, self.pid)

    def describe(self) -> str:
        return tr(
            "tell the running trainer ({process}) to reload its settings; wait up to {ready_s:g} s until it confirms",
            process=self.name,
            ready_s=self.ready_s,
        )


@record
class RunStage:
    """One stage of a staged rollback: change settings, restart, watch `steps` training steps, judge. The next stage
    follows only where this one is not healthy."""

    number: int
    name: Stage
    changes: tuple[SettingChange, ...]
    steps: int

    def describe(self) -> str:
        return tr(
            "stage {number} ({name}): {changes}; restart, watch {steps} steps, stop here if healthy",
            number=self.number,
            name=self.name,
            changes=joined(", ", [change.describe() for change in self.changes]),
            steps=self.steps,
        )


@record
class WriteFiles:
    """Write files that are generated from others, such as the runbook's pages."""

    paths: tuple[str, ...]

    def describe(self) -> str:
        return tr("write {paths}", paths=joined(", ", self.paths))


@record
class ResumeStaged:
    """Continue a staged rollback at `stage`. `left`: the stages after it."""

    stage: str
    left: tuple[str, ...]

    def describe(self) -> str:
        if not self.left:
            return tr("continue the staged rollback at its last stage, {stage}", stage=self.stage)
        return tr(
            "continue the staged rollback at stage {stage}; the stages after it: {left}",
            stage=self.stage,
            left=joined(", ", self.left),
        )


@record
class RunProbes:
    """Make short training runs in a scratch folder, which change nothing in the project."""

    features: tuple[str, ...]
    steps: int

    def describe(self) -> str:
        return tr(
            "search {features} for the cause, in short runs of {steps} steps in a scratch folder",
            features=trn("{count} improvement", "{count} improvements", len(self.features)),
            steps=self.steps,
        )


Step = (
    RemoveSnapshot
    | Rehearse
    | RecoverFirst
    | SaveEvidence
    | StopTrainer
    | TakeSnapshot
    | ChangeFiles
    | StartTrainer
    | ReloadTrainer
    | AwaitConfirmation
    | RunStage
    | RevertCommits
    | MoveBranch
    | ChangePackages
    | CopyFiles
    | PinSnapshot
    | ExportFiles
    | WriteFiles
    | ResumeStaged
    | RunProbes
    | WatchGate
    | DecideByHand
    | UseBaseline
    | RemoveBaseline
)
