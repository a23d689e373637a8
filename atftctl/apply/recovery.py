"""After a crash: what had been decided is finished, what had not is unwound, anything else is left to a person.

The records are read as hints from the past, and are held against the present: files must lie in the project, processes
must be the trainer's, and a trainer is started by the command of the runbook as it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, get_args

from atftctl.apply import branch_move, packages, trainer_process, transaction
from atftctl.apply.launch import Launcher, no_launcher
from atftctl.apply.moves import Move, moves_of, roll_forward, unstage, untouched
from atftctl.apply.snapshots import pin as pins
from atftctl.apply.snapshots import remove as removal
from atftctl.domain.commits import CodeMove
from atftctl.domain.errors import InterventionNeeded
from atftctl.domain.runbook import Resume
from atftctl.host.errors import HostError, reason, reason_and_place
from atftctl.host.files.durable import remove
from atftctl.host.files.folders import fsync_dir
from atftctl.host.process import rights
from atftctl.host.process import table as procs
from atftctl.host.self_copy import private_copy
from atftctl.protocol import Exit
from atftctl.state import history, quarantine, sealed_records
from atftctl.state.layout import SNAPSHOT_NAME, Layout
from atftctl.state.process_record import may_signal

# Of an intent, what only recovery needs.
NOT_TOLD = ("start", "start_again", "digest", "stopping", "code", "quarantine", "reload", "tool", "outside")
Bodies = dict[str, dict[str, Any]]  # of one operation's records, by state


@dataclass
class Recovered:
    """A line for each thing that recovery did; `not_started`: a trainer should run, and no runbook says how."""

    lines: list[str] = field(default_factory=list)
    not_started: bool = False


@dataclass
class Recovery:
    """Brings every open operation to its end, oldest first. It may die and be begun again."""

    layout: Layout
    launcher: Launcher = no_launcher
    back: bool = False  # take back what was decided, instead of finishing it
    done: Recovered = field(default_factory=Recovered)

    def run(self) -> Recovered:
        """All records are read before anything is touched: one that is not whole, or newer than we are, stops it here.
        Raises InterventionNeeded, OSError."""
        found = self._read()
        self.done.lines += _sweep(self.layout)
        for operation, bodies in found.items():
            self._one(operation, bodies)
        return self.done

    def _read(self) -> dict[str, Bodies]:
        journal = self.layout.journal
        try:
            return {
                operation: {state: sealed_records.read(journal, operation, state) or {} for state in states}
                for operation, states in sealed_records.states(journal).items()
            }
        except sealed_records.BadRecordError as error:
            raise InterventionNeeded(
                f"the journal can't be trusted: {error}",
                state=f"nothing was touched; {untouched(self.layout)}",
                hint="a newer atftctl may know it; else compare files and snapshots, then move the journal away",
            ) from None

    def _one(self, operation: str, bodies: Bodies) -> None:
        if "done" in bodies:
            _unpin(self.layout, operation, bodies.get("intent", {}))
            transaction.sweep(self.layout, operation)
            return
        if "intent" not in bodies:
            raise InterventionNeeded(
                f"operation {operation} has no intent record", state=f"nothing was touched; {untouched(self.layout)}"
            )
        intent = bodies["intent"]
        self.layout = _with_outside(self.layout, intent)
        if "commit" in bodies and (self.back or "abort" in bodies):
            line = self._go_back(operation, intent, bodies)
        elif "commit" in bodies:
            line = self._forward(operation, intent, bodies["commit"])
        else:
            line = self._unwind(operation, intent, bodies.get("begin"))
        self.done.lines.append(line)

    def _forward(self, operation: str, intent: dict[str, Any], commit: dict[str, Any]) -> str:
        layout, moves = self.layout, moves_of(commit)
        if any(private_copy.lies_in(layout.root / move.path.split("/")[0]) for move in moves):
            private_copy.load_all()
        try:
            roll_forward(layout, moves)
        except OSError as error:
            if error.errno not in transaction.FOR_GOOD:
                raise
            raise InterventionNeeded(
                f"{_name(intent, operation)} was decided, and can't be finished: {reason_and_place(error)}",
                state="some files may be the new ones, the others are as they were",
                hint="remove the cause, then: atftctl recover; or put all files back: atftctl recover --back",
            ) from None
        more = _move_branch(layout, operation, intent, moves) + _change_packages(layout, intent)
        if intent.get("quarantine"):
            with suppress(OSError, HostError):
                why = f"{intent.get('title')}, {operation}"
                quarantine.add(layout, str(intent["quarantine"]), why, datetime.now().astimezone())
        if intent.get("reload"):
            more += "; a running trainer keeps its old settings: atftctl trainer reload"
        started = self._bring_up(intent.get("start"), str(intent.get("digest", "")))
        _close(layout, operation, intent, "done, finished by recovery")
        return f"finished {_name(intent, operation)}: all files are the new ones{more}{started}"

    def _go_back(self, operation: str, intent: dict[str, Any], bodies: Bodies) -> str:
        """As was decided before the crash, or as `recover --back` asks for now."""
        layout = self.layout
        snapshot = str(bodies.get("abort", {}).get("snapshot") or intent.get("snapshot") or "")
        if snapshot and not SNAPSHOT_NAME.fullmatch(snapshot):
            raise InterventionNeeded(f"{snapshot!r} is no snapshot", state=f"nothing was touched; {untouched(layout)}")
        moving = transaction.Transaction(layout, operation, moves_of(bodies["commit"]))
        if "abort" not in bodies:
            _refuse_moved(layout, operation, intent)
            moving.decide_to_go_back(snapshot)
        moving.go_back(snapshot)
        stopped = self._finish_stop(intent.get("stopping"))
        started = self._bring_up(intent.get("start_again"), "")
        _close(layout, operation, {**intent, "files": []}, "put back by recovery")
        return f"took back {_name(intent, operation)}: all files are the old ones{stopped}{started}"

    def _unwind(self, operation: str, intent: dict[str, Any], begin: dict[str, Any] | None) -> str:
        if begin:
            unstage(self.layout, moves_of(begin))
        stopped = self._finish_stop(intent.get("stopping"))
        started = self._bring_up(intent.get("start_again"), "")
        _close(self.layout, operation, {**intent, "files": []}, "put back by recovery")
        return f"unwound {_name(intent, operation)}: all files are the old ones{stopped}{started}"

    def _finish_stop(self, stopping: Any) -> str:
        """A trainer that was asked to stop may still be leaving; it is not taken for one that runs on. Only the
        recorded trainer of this project is waited for or killed: one that the dead command had adopted is only told
        of."""
        words = ""
        for entry in stopping if isinstance(stopping, list) else []:
            try:
                who = procs.Identity(int(entry["pid"]), int(entry["ticks"]), str(entry["boot"]))
                grace_s = min(float(entry["grace_s"]), 86_400.0)
            except (KeyError, TypeError, ValueError):
                continue
            if not procs.alive(who):
                continue
            record = trainer_process.read_record(self.layout)
            if may_signal(self.layout, record, who):
                trainer_process.stop(self.layout, record, who, grace_s=grace_s, note=lambda _: None)
            else:
                words += f"; pid {who.pid} was to be stopped, and is not the recorded trainer: left alone"
        return words

    def _bring_up(self, resume: Any, digest: str) -> str:
        """The wanted state of the process: running, unless it is already."""
        resume = resume.get("resume") if isinstance(resume, dict) else resume  # as earlier builds recorded it
        if not resume or _runs(self.layout):
            return ""
        launch = self.launcher(resume) if resume in get_args(Resume) else None
        if launch is None:
            self.done.not_started = True
            return "; the trainer is not started, since no trusted runbook says how: atftctl trainer start"
        try:
            record = trainer_process.start(self.layout, launch, digest=digest, now=datetime.now().astimezone())
        except (HostError, OSError) as error:  # the files are what counts here; a bad command must not lock the project
            self.done.not_started = True
            return f"; the trainer could not be started ({error}): mend trainer.command, then atftctl trainer start"
        return f"; started the trainer, pid {record.pid}"


def _name(intent: dict[str, Any], operation: str) -> str:
    return f"{intent.get('command')} {operation}"


def _sweep(layout: Layout) -> list[str]:
    """What a crash left half-written, none of it ever visible as a record. Under the lock nobody else is writing."""
    opened = [layout.operations / operation for operation in sealed_records.states(layout.journal)]
    pages = (layout.runbook.parent, f".{layout.runbook.stem}.*.md.*.tmp")  # of `runbook render`
    for folder, pattern in (*((one, ".*.tmp") for one in (*opened, layout.state, layout.journal)), pages):
        removed = [remove(torn) for torn in folder.glob(pattern)]
        if any(removed):
            fsync_dir(folder)
    lines = []
    if gone := [name for name in removal.half_removed(layout) if not history.tells_of_removal(layout, name)]:
        title = f"finished taking away snapshot{'s' * (len(gone) > 1)} {', '.join(gone)}"
        entry = history.new_entry("recover", title, "", datetime.now().astimezone())
        lines.append(title)
        line = {**entry, "removed": gone, "outcome": "done", "exit_code": int(Exit.DONE)}
        try:
            history.append_freeing(layout, line, lambda: removal.sweep(layout))
        except (OSError, HostError) as error:  # the disk is full even so; a rescue goes on without the line
            lines.append(f"the history could not be told of it: {reason(error)}")
    branch_move.sweep_worktrees(layout)
    private_copy.sweep(layout.tools, _tools_in_use(layout))
    return lines + removal.sweep(layout)


def _tools_in_use(layout: Layout) -> set[str]:
    """Private copies of the tool that an open operation still needs."""
    return {str(sealed_records.try_read(path).get("tool")) for path in layout.journal.glob("*.intent.json")}


def _change_packages(layout: Layout, intent: dict[str, Any]) -> str:
    if not intent.get("packages"):
        return ""
    try:
        packages.change(layout, intent["packages"])
    except (HostError, OSError, KeyError, TypeError) as error:
        return f"; the packages stay as they are ({error}): atftctl show says which"  # no reason to stop a rescue for
    return "; the packages are changed"


def _code_of(intent: dict[str, Any]) -> CodeMove | None:
    """Raises InterventionNeeded for a record that names no branch of git."""
    if not intent.get("code"):
        return None
    try:
        return CodeMove.from_json(intent["code"])
    except (KeyError, TypeError, ValueError):
        raise InterventionNeeded(
            "the journal can't be trusted: it names no branch", state="no file was touched"
        ) from None


def _move_branch(layout: Layout, operation: str, intent: dict[str, Any], files: Sequence[Move]) -> str:
    """Raises InterventionNeeded where it can't be: the operation stays open, and is not called done."""
    move = _code_of(intent)
    if move is None:
        return ""
    try:
        freed = branch_move.remove_our_locks(layout, move, str(intent.get("started", "")))
        branch_move.finish(layout, move, files, _name(intent, operation))
    except HostError as error:
        raise InterventionNeeded(
            f"{_name(intent, operation)} was decided, and its branch can't be moved: {error}",
            state=f"all files are the new ones; {move.branch} is to go from {move.old[:12]} to {move.new[:12]}",
            hint="remove the cause (a hook, a lock, another branch that is checked out; a commit that came meanwhile: "
            f"git reset --soft {move.old[:12]}), then: atftctl recover",
        ) from None
    words = f"; removed git's lock {', '.join(freed)}, left by the operation that died" if freed else ""
    return f"{words}; the branch has moved"


def _refuse_moved(layout: Layout, operation: str, intent: dict[str, Any]) -> None:
    """Raises InterventionNeeded where the branch or the packages have changed by now: an undo takes these back too."""
    move = _code_of(intent)
    if (move and branch_move.has_moved(layout, move)) or packages.have_changed(intent.get("packages")):
        raise InterventionNeeded(
            f"{_name(intent, operation)} can't simply go back: its branch or its packages have changed already",
            state=untouched(layout),
            hint=f"atftctl recover finishes it; then: atftctl undo {operation}",
        )


def _with_outside(layout: Layout, intent: dict[str, Any]) -> Layout:
    """The places outside that the operation was allowed, also where the runbook can't be read by now. Where root acts
    for a user there are none."""
    named = intent.get("outside")
    places = [place for place in named if isinstance(place, str)] if isinstance(named, list) else []
    if not places or rights.user_of(layout.root) is not None:
        return layout
    return replace(layout, outside=tuple(dict.fromkeys((*layout.outside, *places))))


def _unpin(layout: Layout, operation: str, intent: dict[str, Any]) -> None:
    """The safety snapshot, where the way back has pinned it."""
    snapshot = str(intent.get("snapshot") or "")
    if SNAPSHOT_NAME.fullmatch(snapshot):
        pins.unpin_after(layout, snapshot, operation)


def _runs(layout: Layout) -> bool:
    """Is the recorded trainer alive, or one whose record a crash cut short?"""
    record = trainer_process.read_record(layout)
    return record is not None and trainer_process.identity(layout, record) is not None


def _close(layout: Layout, operation: str, intent: dict[str, Any], outcome: str) -> None:
    entry = {key: value for key, value in intent.items() if key not in NOT_TOLD}
    ended = datetime.now().astimezone().isoformat(timespec="seconds")
    exit_code = Exit.DONE if outcome.startswith("done") else Exit.RESTORED
    history.append(
        layout, {**entry, "operation": operation, "outcome": outcome, "exit_code": int(exit_code), "ended": ended}
    )
    _unpin(layout, operation, intent)
    transaction.Transaction(layout, operation).close()
