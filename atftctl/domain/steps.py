"""The steps of a plan, and what each changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atftctl.domain.commits import CodeMove, Commit
from atftctl.domain.record import record
from atftctl.domain.runbook import Stage, Value
from atftctl.domain.text import listed, size_text, value_text
from atftctl.protocol.keys import key_text
from atftctl.protocol.messages import tr, trn


@dataclass(frozen=True)
class SettingChange:
    feature: str
    file: str
    key: tuple[str, ...]
    old: Any
    new: Value | None

    def describe(self) -> str:
        old = "(not set)" if self.old is None else value_text(self.old)
        return f"{key_text(self.key)}: {old} → {value_text(self.new)}"


@dataclass(frozen=True)
class Target:
    """One file that changes. Exactly one of: settings are edited, a snapshot's copy comes back, a commit's content
    comes, the file goes."""

    path: str
    old: str | None  # SHA-256 of what stands now, None where there is no file, or where it is volatile
    changes: tuple[SettingChange, ...] = ()
    snapshot: str = ""
    commit: str = ""
    copy: str = ""  # where the snapshot's copy lies, relative to the project
    new: str | None = None  # SHA-256 of what comes
    mode: int = 0o644
    moded: bool = False  # `mode` is to be, though there is no snapshot that says so
    volatile: bool = False  # the trainer writes it: what stands there is taken after its stop

    @property
    def removes(self) -> bool:
        return not (self.changes or self.snapshot or self.commit)


@record
class RecoverFirst:
    what: str

    def describe(self) -> str:
        return f"recover: {self.what}"


@record
class SaveEvidence:
    def describe(self) -> str:
        return "save the evidence: logs, metrics, config, process"


@record
class StopTrainer:
    pid: int
    grace_s: float
    adopt_ticks: int = 0  # the start time of a trainer started by hand that the operator named
    leftovers: tuple[int, ...] = ()  # the main process is gone, these of its run are not

    def describe(self) -> str:
        if self.leftovers:
            return f"stop what is left of the last run: pid {', '.join(map(str, self.leftovers))}"
        hand = " (started by hand)" if self.adopt_ticks else ""
        return f"stop the trainer, pid {self.pid}{hand}: ask, wait up to {self.grace_s:g} s, then kill"


@record
class TakeSnapshot:
    paths: tuple[str, ...]

    def describe(self) -> str:
        return f"snapshot what stands now ({len(self.paths)} files)"


@record
class CopyFiles:
    """A snapshot taken on request. `size`: bytes to copy; `linked`: unchanged files that share the previous copies."""

    paths: tuple[str, ...]
    size: int
    linked: int

    def describe(self) -> str:
        return tr(
            "take a snapshot: copy {size}, share {linked} unchanged with the snapshot before",
            size=size_text(self.size),
            linked=trn("{count} file", "{count} files", self.linked),
        )


@record
class PinSnapshot:
    id: str
    pinned: bool

    def describe(self) -> str:
        if self.pinned:
            return tr("pin snapshot {id}: no prune removes it", id=self.id)
        return tr("remove the pin of snapshot {id}", id=self.id)


@record
class ExportFiles:
    snapshot: str
    paths: tuple[str, ...]
    size: int  # bytes
    folder: str

    def describe(self) -> str:
        return trn(
            "write {count} file of {snapshot} ({size}) to {folder}",
            "write {count} files of {snapshot} ({size}) to {folder}",
            len(self.paths),
            snapshot=self.snapshot,
            size=size_text(self.size),
            folder=self.folder,
        )


@record
class WriteFiles:
    """Files that are generated from others, such as the runbook's pages."""

    paths: tuple[str, ...]

    def describe(self) -> str:
        return tr("write {paths}", paths=", ".join(self.paths))


@record
class ResumeStaged:
    stage: str
    left: tuple[str, ...]

    def describe(self) -> str:
        if not self.left:
            return tr("continue the staged rollback at stage {stage}, its last", stage=self.stage)
        return tr(
            "continue the staged rollback at stage {stage}; the stages after it: {left}",
            stage=self.stage,
            left=", ".join(self.left),
        )


@record
class RunProbes:
    """Short training runs in a scratch folder, which change nothing in the project."""

    features: tuple[str, ...]
    steps: int

    def describe(self) -> str:
        return tr(
            "search {features} for the cause, in short runs of {steps} steps in a scratch folder",
            features=trn("{count} improvement", "{count} improvements", len(self.features)),
            steps=self.steps,
        )


@record
class ChangeFiles:
    """All of these at once or none."""

    targets: tuple[Target, ...]

    def describe(self) -> str:
        words = []
        restored = [target for target in self.targets if not target.changes]
        many = len(restored) > MANY
        if many:
            words.append(_counted(restored))
        for target in self.targets:
            if many and not target.changes:
                continue
            if target.changes:
                words.append(f"change {len(target.changes)} setting{'s' * (len(target.changes) > 1)} in {target.path}")
            elif target.snapshot:
                words.append(f"restore {target.path} from {target.snapshot}")
            elif target.commit:
                words.append(f"take {target.path} from commit {target.commit[:12]}")
            else:
                words.append(f"take out {target.path}")
        return "; ".join(words)


def _counted(targets: list[Target]) -> str:
    """Too many to name."""
    sources = [one.snapshot or (one.commit and f"commit {one.commit[:12]}") for one in targets]
    words = [f"restore {sources.count(one):,} files from {one}" for one in dict.fromkeys(sources) if one]
    gone = sources.count("")
    return "; ".join([*words, *([f"take out {gone:,} files"] if gone else [])])


@record
class StartTrainer:
    resume: str
    memory_limit_mb: int
    ready_s: float

    def describe(self) -> str:
        limit = f", memory limit {self.memory_limit_mb} MB" if self.memory_limit_mb else ""
        return f"start the trainer from {self.resume}{limit}, wait up to {self.ready_s:g} s for its first step"


@record
class ReloadTrainer:
    """The running trainer takes the new settings up by itself, and echoes them."""

    pid: int
    ready_s: float

    def describe(self) -> str:
        return f"have the running trainer, pid {self.pid}, take it up; wait up to {self.ready_s:g} s for its echo"


@record
class RunStage:
    """One stage: change, restart, watch, judge; the next one only where this one is not healthy."""

    number: int
    name: Stage
    changes: tuple[SettingChange, ...]
    steps: int

    def describe(self) -> str:
        words = ", ".join(change.describe() for change in self.changes)
        return f"stage {self.number} ({self.name}): {words}; restart, watch {self.steps} steps, stop here if healthy"


@record
class RevertCommits:
    """Newest first, in a work tree of its own."""

    commits: tuple[Commit, ...]
    base: str

    def describe(self) -> str:
        words = [
            f"{one.id[:12]} {one.subject} ({'merge, ' if one.merge else ''}{listed(one.files, 4) or 'no files here'})"
            for one in self.commits
        ]
        return f"revert, on top of {self.base[:12]}: {'; '.join(words)}"


@record
class MoveBranch:
    move: CodeMove

    def describe(self) -> str:
        name = self.move.branch.removeprefix("refs/heads/")
        return f"move the branch {name} from {self.move.old[:12]} to {self.move.new[:12]}"


@record
class Package:
    """An installed one; or one whose files an operation kept."""

    name: str
    version: str
    kept: str = ""  # where its files were kept, relative to the project


@record
class ChangePackages:
    packages: tuple[Package, ...]
    away: bool

    def describe(self) -> str:
        names = ", ".join(f"{one.name} {one.version}" for one in self.packages)
        return f"uninstall {names} (its files are kept)" if self.away else f"put {names} back"


@record
class RemoveSnapshot:
    """`label`: its label, or why it was taken. `frees`: bytes that no staying snapshot shares."""

    id: str
    label: str
    frees: int

    def describe(self) -> str:
        label = f" ({self.label})" if self.label else ""
        return f"remove {self.id}{label}: {size_text(self.frees)}"


MANY = 8  # files; more of them are counted, not listed
Step = (
    RemoveSnapshot
    | RecoverFirst
    | SaveEvidence
    | StopTrainer
    | TakeSnapshot
    | ChangeFiles
    | StartTrainer
    | ReloadTrainer
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
)
