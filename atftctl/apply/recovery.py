"""After a crash: finish operations that had been decided, unwind those that had not, leave anything else to a person.

Old records are not simply believed: files must lie in the project, processes must be the trainer's, and a trainer is
started with the command that the runbook has now.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, get_args

from atftctl.apply import trainer_process, transaction
from atftctl.apply.code_recovery import change_packages, move_branch, refuse_moved, title_of
from atftctl.apply.crash_leftovers import remove_leftovers
from atftctl.apply.moves import moves_of, roll_forward, unstage, untouched
from atftctl.apply.snapshots import pin as pins
from atftctl.domain.engines import LOCAL
from atftctl.domain.errors import InterventionNeeded
from atftctl.domain.launch import Launcher, no_launcher
from atftctl.domain.process_record import TrainerIdentity
from atftctl.domain.runbook import Resume
from atftctl.host.errors import HostError, reason, reason_and_place
from atftctl.host.process import rights
from atftctl.host.self_copy import private_copy
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr
from atftctl.state import history, quarantine, sealed_records
from atftctl.state.engines.choice import engine_of, named
from atftctl.state.layout import SNAPSHOT_NAME, Layout

# Keys of an intent that only recovery needs; they are not written to the history.
ONLY_FOR_RECOVERY = ("start", "start_again", "digest", "stopping", "code", "quarantine", "reload", "tool", "outside")
Records = dict[str, dict[str, Any]]  # the records of one operation, by state


@dataclass
class Recovered:
    """What recovery did, a line each. `not_started`: a trainer should run, and could not be started."""

    lines: list[str] = field(default_factory=list)
    not_started: bool = False


@dataclass
class Recovery:
    """Brings every open operation to its end, oldest first. It can be interrupted and repeated."""

    layout: Layout
    launcher: Launcher = no_launcher
    back: bool = False  # undo what was decided instead of finishing it
    done: Recovered = field(default_factory=Recovered)

    def run(self) -> Recovered:
        """Recover all open operations and return what was done.

        All records are read before anything is changed: recovery stops at one that is damaged or written by a newer
        version. Raises InterventionNeeded, OSError.
        """
        journal = self._read_journal()
        self.done.lines += remove_leftovers(self.layout)
        for operation, records in journal.items():
            self._finish(operation, records)
        return self.done

    def _read_journal(self) -> dict[str, Records]:
        journal = self.layout.journal
        try:
            return {
                operation: {state: sealed_records.read(journal, operation, state) or {} for state in states}
                for operation, states in sealed_records.states(journal).items()
            }
        except sealed_records.BadRecordError as error:
            raise InterventionNeeded(
                tr("the journal can't be trusted: {reason}", reason=reason(error)),
                state=_nothing_changed(self.layout),
                hint=tr(
                    "if a newer atftctl wrote it, use that one; otherwise compare your files with the snapshots, then "
                    "move .atftctl/journal away"
                ),
            ) from None

    def _finish(self, operation: str, records: Records) -> None:
        if "done" in records:
            _unpin(self.layout, operation, records.get("intent", {}))
            transaction.remove_records(self.layout, operation)
            return
        if "intent" not in records:
            raise InterventionNeeded(
                tr("operation {operation} has no intent record", operation=operation),
                state=_nothing_changed(self.layout),
            )
        intent = records["intent"]
        self.layout = _with_outside(self.layout, intent)
        if "commit" in records and (self.back or "abort" in records):
            line = self._go_back(operation, intent, records)
        elif "commit" in records:
            line = self._forward(operation, intent, records["commit"])
        else:
            line = self._unwind(operation, intent, records.get("begin"))
        self.done.lines.append(line)

    def _forward(self, operation: str, intent: dict[str, Any], commit: dict[str, Any]) -> str:
        """Finish a decided operation, and say what was done: a crash between two renames is repaired here.

        Raises InterventionNeeded, OSError.
        """
        layout, moves = self.layout, moves_of(commit)
        if any(private_copy.lies_in(layout.root / move.path.split("/")[0]) for move in moves):
            private_copy.load_all()
        try:
            roll_forward(layout, moves)
        except OSError as error:
            if error.errno not in transaction.FOR_GOOD:
                raise
            raise InterventionNeeded(
                tr(
                    "{operation} was decided but can't be finished: {reason}",
                    operation=title_of(operation, intent),
                    reason=reason_and_place(error),
                ),
                state=tr("some files may be the new ones, the others are as they were"),
                hint=tr(
                    "remove the cause, then run: atftctl recover; or restore all old files: atftctl recover --back"
                ),
            ) from None
        parts = [
            tr("finished {operation}: all files are the new ones", operation=title_of(operation, intent)),
            *move_branch(layout, operation, intent, moves),
            *change_packages(layout, intent),
        ]
        if intent.get("quarantine"):
            with suppress(OSError, HostError):
                why = f"{intent.get('title')}, {operation}"
                quarantine.add(layout, str(intent["quarantine"]), why, datetime.now().astimezone())
        if intent.get("reload"):
            parts.append(tr("a running trainer keeps its old settings until you run: atftctl trainer reload"))
        parts += self._bring_up(intent, "start", str(intent.get("digest", "")))
        _close(layout, operation, intent, "done, finished by recovery")
        return joined("; ", parts)

    def _go_back(self, operation: str, intent: dict[str, Any], records: Records) -> str:
        """Restore the old files of a decided operation: a crash interrupted that, or `recover --back` asks for it.

        Raises InterventionNeeded, OSError, HostError.
        """
        layout = self.layout
        snapshot = str(records.get("abort", {}).get("snapshot") or intent.get("snapshot") or "")
        if snapshot and not SNAPSHOT_NAME.fullmatch(snapshot):
            raise InterventionNeeded(
                tr("the journal names {snapshot!r}, which is not a snapshot", snapshot=snapshot),
                state=_nothing_changed(layout),
            )
        moving = transaction.Transaction(layout, operation, moves_of(records["commit"]))
        if "abort" not in records:
            refuse_moved(layout, operation, intent)
            moving.decide_to_go_back(snapshot)
        moving.go_back(snapshot)
        return self._put_back(
            operation,
            intent,
            tr("reversed {operation}: all files are the old ones", operation=title_of(operation, intent)),
        )

    def _unwind(self, operation: str, intent: dict[str, Any], begin: dict[str, Any] | None) -> str:
        """Remove the staged files of an operation that was not decided. Raises InterventionNeeded, OSError."""
        if begin:
            unstage(self.layout, moves_of(begin))
        return self._put_back(
            operation,
            intent,
            tr(
                "reversed {operation}, which had not been decided: all files are the old ones",
                operation=title_of(operation, intent),
            ),
        )

    def _put_back(self, operation: str, intent: dict[str, Any], line: str) -> str:
        """Bring the trainer back to what it was before the operation, and close the operation."""
        parts = [line, *self._finish_stop(intent.get("stopping")), *self._bring_up(intent, "start_again", "")]
        _close(self.layout, operation, {**intent, "files": []}, "put back by recovery")
        return joined("; ", parts)

    def _finish_stop(self, stopping: Any) -> list[str]:
        """Finish stopping a trainer that was asked to stop before the crash, so that it is not taken for a running one.

        Only the recorded trainer of this project is waited for or killed; any other process is only reported.
        """
        lines: list[str] = []
        for entry in stopping if isinstance(stopping, list) else []:
            try:
                who = _identity(entry)
                grace_s = min(float(entry["grace_s"]), 86_400.0)
            except (KeyError, TypeError, ValueError):
                continue
            record = trainer_process.read_record(self.layout)
            engine = named(who.engine)
            if not engine.is_running(self.layout, record, who):
                continue
            if engine.may_stop(self.layout, record, who):
                trainer_process.stop(self.layout, record, who, grace_s=grace_s, note=lambda _: None)
            else:
                lines.append(
                    tr("{process} was to be stopped, but is not the recorded trainer: left running", process=who.name)
                )
        return lines

    def _bring_up(self, intent: dict[str, Any], key: str, digest: str) -> list[str]:
        """Start the trainer if the operation wanted it to run and it does not, and say so. `key`: of the intent that
        says from which checkpoint; the generation is added to the intent, for the history."""
        resume = intent.get(key)
        resume = resume.get("resume") if isinstance(resume, dict) else resume  # as earlier builds recorded it
        if not resume or _runs(self.layout):
            return []
        launch = self.launcher(resume) if resume in get_args(Resume) else None
        if launch is None:
            self.done.not_started = True
            return [tr("the trainer is not started: the runbook can't be read or trusted; run: atftctl trainer start")]
        try:
            record = trainer_process.start(self.layout, launch, digest=digest, now=datetime.now().astimezone())
        except (HostError, OSError) as error:  # a wrong command must not keep the project locked
            self.done.not_started = True
            hint = tr("correct trainer.command in the runbook, then run: atftctl trainer start")
            return [tr("the trainer could not be started: {reason}", reason=reason(error)), hint]
        intent["generation"] = record.generation
        return [tr("started the trainer ({process})", process=record.name)]


def _identity(entry: Any) -> TrainerIdentity:
    """Raises KeyError, TypeError or ValueError where an entry of an intent describes none."""
    if not isinstance(entry, dict):
        raise TypeError("an entry is no object")
    restarts, engine = int(entry.get("restarts", 0)), str(entry.get("engine", LOCAL))
    return TrainerIdentity(int(entry["pid"]), int(entry["ticks"]), str(entry["boot"]), restarts, engine)


def _nothing_changed(layout: Layout) -> str:
    return joined("; ", [tr("nothing was changed"), untouched(layout)])


def _with_outside(layout: Layout, intent: dict[str, Any]) -> Layout:
    """Allow the folders outside the project that the operation was allowed, even if the runbook can't be read by now.

    Where root acts for a user, none is allowed.
    """
    recorded = intent.get("outside")
    places = [place for place in recorded if isinstance(place, str)] if isinstance(recorded, list) else []
    if not places or rights.user_of(layout.root) is not None:
        return layout
    return replace(layout, outside=tuple(dict.fromkeys((*layout.outside, *places))))


def _unpin(layout: Layout, operation: str, intent: dict[str, Any]) -> None:
    """Unpin the safety snapshot if the operation pinned it while going back."""
    snapshot = str(intent.get("snapshot") or "")
    if SNAPSHOT_NAME.fullmatch(snapshot):
        pins.unpin_after(layout, snapshot, operation)


def _runs(layout: Layout) -> bool:
    """Is the recorded trainer alive, or one whose record a crash cut short?"""
    record = trainer_process.read_record(layout)
    return record is not None and engine_of(record).find(layout, record) is not None


def _close(layout: Layout, operation: str, intent: dict[str, Any], outcome: str) -> None:
    """Append the history line of a recovered operation, then remove its records. Raises OSError, HostError."""
    entry = {key: value for key, value in intent.items() if key not in ONLY_FOR_RECOVERY}
    ended = datetime.now().astimezone().isoformat(timespec="seconds")
    exit_code = Exit.DONE if outcome.startswith("done") else Exit.RESTORED
    history.append(
        layout, {**entry, "operation": operation, "outcome": outcome, "exit_code": int(exit_code), "ended": ended}
    )
    _unpin(layout, operation, intent)
    transaction.Transaction(layout, operation).close()
