"""The watcher, for `status`: whether one runs, what it may still do, and what it did last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from atftctl.domain.duration import about_text
from atftctl.domain.errors import Refused
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.operations.project import Project, now
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import history
from atftctl.state import watch as watch_state

if TYPE_CHECKING:
    from atftctl.domain.acting import Act

OLD_S = 60.0  # a watcher that has not seen the trainer for so long can't see it
LOOKS = 3  # or for so many of its looks, where these are rarer


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

    running: whether one runs now. command: how it was called, such as `watch --auto`; empty where none runs. operator:
    of the running one, or null. pid: its process, or null. since: when it was started (ISO 8601), or null. age_s:
    seconds since a watcher last saw the trainer, or null where none ever did. sees: whether the running one sees it.
    left: rollbacks that it may still do in this run; null where that is not known. stopped: why it has called for a
    person, and acts no more; or null. last: its last rollback, or null.
    """

    running: bool
    command: str
    operator: str | None
    pid: int | None
    since: str | None
    age_s: float | None
    sees: bool
    left: int | None
    stopped: str | None
    last: ActData | None


def watcher(project: Project) -> WatcherData | None:
    """What is known of the watcher; None where none was ever started. Neither takes a lock nor writes."""
    layout = project.layout
    try:
        holder = locks.holder(layout.watch_lock)
    except (OSError, HostError):
        holder = None
    beat = watch_state.heartbeat(layout)
    if holder is None and not beat and not layout.acts.exists():
        return None
    age = max(0.0, now().timestamp() - float(beat["t"])) if beat else None
    described = holder or {}
    pid = described.get("pid", "")
    left, stopped, last = _acts(project)
    return WatcherData(
        holder is not None,
        described.get("command", ""),
        described.get("operator"),
        int(pid) if pid.isdigit() else None,
        described.get("since"),
        age,
        holder is not None and age is not None and age <= max(OLD_S, LOOKS * float(beat["every"])),
        left,
        stopped,
        last,
    )


def _acts(project: Project) -> tuple[int | None, str | None, ActData | None]:
    """(rollbacks that are left, why the watcher has stopped acting, its last rollback)."""
    if not project.layout.acts.exists():
        return None, None, None
    from atftctl.decide.acting import past, policy  # most projects have no watcher that acts
    from atftctl.state import acts

    try:
        memory = acts.read(project.layout)
    except Refused as error:
        return None, error.message, None
    known = past.past_of(history.read(project.layout), memory, now().timestamp())
    begun = [act for act in memory.acts if act.mode == "auto" and act.was_begun]
    left = max(0, project.runbook.acting.rollbacks - policy.used(begun, known))
    stopped = memory.stopped if memory.stopped and memory.stopped.at >= known.since else None
    return left, stopped.why if stopped else None, _act(memory.acts[-1]) if memory.acts else None


def _act(act: Act) -> ActData:
    at = datetime.fromtimestamp(act.at).astimezone().isoformat(timespec="seconds")
    return ActData(act.operation, act.symptom, at, act.mode, act.outcome)


def summary(seen: WatcherData) -> Message:
    """The watcher in one line."""
    from atftctl.domain.acting import OUTCOME_TEXTS

    parts: list[str] = [
        tr("watcher: {command}", command=seen.command or (tr("runs") if seen.running else tr("none runs")))
    ]
    if seen.running and seen.pid:
        parts.append(tr("pid {pid}", pid=seen.pid))
    if seen.left is not None and (seen.last or "--auto" in seen.command):
        parts.append(tr("rollbacks left: {count}", count=seen.left))
    if seen.last:
        name = seen.last.operation or seen.last.mode
        text = tr("the last one: {symptom}, {name}", symptom=seen.last.symptom, name=name)
        outcome = OUTCOME_TEXTS.get(seen.last.outcome)
        parts.append(tr("{text} ({outcome})", text=text, outcome=outcome) if outcome else text)
    return joined(", ", [*parts, _sight(seen)])


def _sight(seen: WatcherData) -> Message:
    """When it last saw the trainer."""
    if seen.age_s is None:
        return tr("has not seen the trainer yet")
    age = about_text(seen.age_s)
    if seen.sees:
        return tr("its heartbeat is {age} old", age=age)
    return tr("can't see the trainer since {age}", age=age) if seen.running else tr("last looked {age} ago", age=age)


def watched_by(holder: Mapping[str, str]) -> Message:
    """Who watches. `holder`: what they wrote about themselves."""
    values = {name: holder.get(name, "?") for name in ("operator", "pid", "since")}
    return tr("{operator} is watching here (pid {pid}, since {since})", **values)
