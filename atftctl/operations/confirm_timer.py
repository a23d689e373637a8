"""The timer of a change that waits for its confirmation: it waits until the time is over, then undoes the change.

It follows a project that is moved, since its working folder moves with it; it counts on CLOCK_BOOTTIME, which nobody
can set; it waits for the lock as long as somebody holds it. It is ready before the change is recorded: so the undo of
what is recorded never waits for a process that still starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from atftctl.domain.errors import AtftError, Busy, InterventionNeeded, Refused
from atftctl.domain.pending import PendingChange
from atftctl.domain.result import Reporter
from atftctl.host import locks
from atftctl.host.errors import HostError, reason_and_place
from atftctl.host.self_copy import private_copy
from atftctl.operations.alerting import outbox
from atftctl.operations.change.project_lock import held_by
from atftctl.operations.overdue import expire
from atftctl.operations.project import open_for_rescue
from atftctl.state import confirm_timer, pending
from atftctl.state.layout import Layout

# What an undo imports late, below atftctl: imported before the timer is ready, and not when the time is over.
LATE = (
    "apply.operation",
    "apply.recovery",
    "decide.verdicts.crash_cause",
    "host.git.facts",
    "host.process.interrupts",
    "observe.evidence",
    "operations.change.failure",
    "operations.change.free_space",
    "operations.change.readiness",
    "operations.change.snapshot_inputs",
)

LOOK_S = 1.0  # seconds between two looks at the record
BUSY_S = 0.1  # seconds between two tries to get the lock
RECORD_S = 0.02  # seconds between two looks for the record of the change, before there is one
RETRY_S = (30.0, 120.0, 600.0)  # seconds before a failed undo is tried again; the last one is repeated
GIVE_UP_S = 24 * 3600.0  # from then on the next changing command tries it

Log = Callable[[str], None]


@dataclass
class Timer:
    """The timer of one operation. Its working folder is the project's."""

    operation: str
    report: Reporter
    log: Log
    change: PendingChange | None = None  # as it was read last
    ready: bool = False  # whoever started the timer goes on with the change
    root: Path = Path()  # of the project, when the timer looked last

    def serve(self) -> None:
        """Be the timer until the wait has ended."""
        self.root = Path.cwd()
        private_copy.load(LATE)
        with suppress(AtftError, HostError, OSError):
            open_for_rescue(self.root)  # for what that imports
        confirm_timer.write(_layout(), self.operation)
        self.ready = True
        self.log(f"timer of {self.operation}: ready")
        if not self._is_recorded():
            self.log(f"timer of {self.operation}: the change was not recorded, and nothing is to be undone")
            return
        private_copy.load_all(self._is_due)  # what a rare case may need; in the time until then
        while change := self._waiting():
            left_s = change.left_s(pending.moment())
            if not _is_over(change):
                time.sleep(min(left_s, LOOK_S))
            elif self._undo():
                return
        self.log(f"timer of {self.operation}: {_how_it_ended(self.operation)}")

    def _is_recorded(self) -> bool:
        """Wait until the change is recorded. False where the process that was about to record it, and that holds the
        lock until then, has ended before."""
        while not self._waiting():
            if _is_free() and not self._waiting():
                return False
            time.sleep(RECORD_S)
        return True

    def _is_due(self) -> bool:
        change = self._waiting()
        return change is None or _is_over(change)

    def _waiting(self) -> PendingChange | None:
        """Return the change while it waits; None from then on, and where the project is gone. A record that can't be
        read counts as it was before: its undo then fails, and says so."""
        try:
            change = pending.read(_layout())
        except FileNotFoundError:
            return None
        except Refused:
            return self.change
        self.change = change if change and change.operation == self.operation else None
        return self.change

    def _undo(self) -> bool:
        """Undo the change: True where the timer has ended. Waits for the lock; tries a failed undo again for a day."""
        begun, busy, failures = time.monotonic(), False, 0
        while time.monotonic() - begun < GIVE_UP_S:
            change = self._waiting()
            if change is None or not _is_over(change):
                return False  # somebody was faster; or the change was only just completed, and its time begins now
            try:
                _refuse_while_held()
                return self._expire(change)
            except Busy as error:
                if not busy:
                    self.log(f"waiting for the lock: {error.message}")
                busy = True
                time.sleep(BUSY_S)
            except InterventionNeeded as error:
                self.log(f"UNDO FAILED, a person must look: {error.message}; {error.state}; {error.hint}")
                return True
            except (AtftError, HostError, OSError) as error:
                pause = RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                self.log(f"UNDO FAILED: {reason_and_place(error)}; next try in {pause:g} s")
                self._pause(pause)
        self.log("UNDO FAILED for a day: the next changing command tries it again")
        return True

    def _expire(self, change: PendingChange) -> bool:
        if (root := Path.cwd()) != self.root:
            self.log(f"the project was moved to {root}")
            private_copy.follow(self.root, root)
            self.root = root
        project = open_for_rescue(root)
        late_s = -change.left_s(pending.moment())
        self.log(f"the time is over by {late_s:.3f} s: undo {change.name}: {change.why_undone}")
        result = expire(project, change, self.report)
        if result is None:
            return False
        contacts = [f"contact: {contact}" for contact in project.contacts]
        for line in (result.headline, *result.lines, *contacts):
            self.log(line)
        outbox.poke(project)
        return True

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; less where the change waits no longer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._waiting():
            time.sleep(LOOK_S)


def _layout() -> Layout:
    """Return the layout for our own records. Raises FileNotFoundError where the project's folder is gone."""
    root = Path.cwd()
    return Layout(root=root, runbook=root / "runbooks" / "none.yaml")


def _refuse_while_held() -> None:
    """Raises Busy while another process holds the lock: a cheap look, ten times a second."""
    holder = locks.holder(_layout().lock)
    if holder is not None:
        raise Busy(held_by(holder))


def _is_free() -> bool:
    """Does no process hold the lock?"""
    try:
        return locks.holder(_layout().lock) is None
    except FileNotFoundError:  # the folder of the project is gone
        return True


def _is_over(change: PendingChange) -> bool:
    return bool(change.expired_at) or change.left_s(pending.moment()) <= 0


def _how_it_ended(operation: str) -> str:
    try:
        return pending.settled_as(_layout(), operation) or "its record is gone"
    except FileNotFoundError:
        return "the folder of the project is gone"
