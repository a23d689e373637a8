"""The watcher, for `status`: whether one runs, what it may still do, and what it did last."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from atftctl.domain.errors import Refused
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.host import locks
from atftctl.operations.project import Project
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import history

if TYPE_CHECKING:
    from atftctl.domain.acting import Act


@record
class ActData(Data):
    """One rollback of the watcher.

    operation: its id; empty where none was done. symptom: that it was done for. at: when it was decided (ISO 8601).
    mode: `auto`, or `shadow` where it was only written down. outcome: `restored`, `not restored`, `inconclusive`,
    `failed`, `put back`, `forgotten`, `shadow`; empty where it is not known yet.
    """

    operation: str
    symptom: str
    at: str
    mode: str
    outcome: str


@record
class WatcherData(Data):
    """The watcher.

    running: whether one runs now. command: how it was called, such as `watch --auto`; empty where none runs. left:
    rollbacks that it may still do in this run; null where that is not known. stopped: why it has called for a person,
    and acts no more; or null. last: its last rollback, or null.
    """

    running: bool
    command: str
    left: int | None
    stopped: str | None
    last: ActData | None


def watcher(project: Project) -> WatcherData | None:
    """What is known of the watcher; None where none runs, and none has ever acted."""
    layout = project.layout
    holder = locks.holder(layout.watch_lock)
    command = (holder or {}).get("command", "")
    if holder is None and not layout.acts.exists():
        return None
    from atftctl.decide.acting import past, policy  # most projects have no watcher
    from atftctl.state import acts

    try:
        memory = acts.read(layout)
    except Refused as error:
        return WatcherData(holder is not None, command, None, error.message, None)
    known = past.past_of(history.read(layout), memory)
    begun = [act for act in memory.acts if act.mode == "auto" and act.was_begun]
    left = max(0, project.runbook.acting.rollbacks - policy.used(begun, known))
    stopped = memory.stopped if memory.stopped and memory.stopped.at >= known.since else None
    last = _act(memory.acts[-1]) if memory.acts else None
    return WatcherData(holder is not None, command, left, stopped.why if stopped else None, last)


def _act(act: Act) -> ActData:
    at = datetime.fromtimestamp(act.at).astimezone().isoformat(timespec="seconds")
    return ActData(act.operation, act.symptom, at, act.mode, act.outcome)


def summary(seen: WatcherData) -> Message:
    """The watcher in one line."""
    from atftctl.domain.acting import OUTCOME_TEXTS

    parts: list[str] = [
        tr("watcher: {command}", command=seen.command or (tr("runs") if seen.running else tr("none runs")))
    ]
    if seen.left is not None and (seen.last or "--auto" in seen.command):
        parts.append(tr("rollbacks left: {count}", count=seen.left))
    if seen.last:
        name = seen.last.operation or seen.last.mode
        text = tr("the last one: {symptom}, {name}", symptom=seen.last.symptom, name=name)
        outcome = OUTCOME_TEXTS.get(seen.last.outcome)
        parts.append(tr("{text} ({outcome})", text=text, outcome=outcome) if outcome else text)
    return joined(", ", parts)
