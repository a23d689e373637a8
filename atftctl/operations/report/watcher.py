"""`status`: whether a watcher runs, and when it last saw the trainer."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.domain.duration import about_text
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.host import locks
from atftctl.host.errors import HostError
from atftctl.operations.project import Project, now
from atftctl.protocol.messages import Message, joined, tr
from atftctl.state import watch as watch_state

OLD_S = 60  # a watcher that has not seen the trainer for so long can't see it


@record
class WatcherData(Data):
    """The watcher.

    runs: whether one does. operator: of the running one, or null; so are pid and since (ISO 8601). age_s: seconds since
    a watcher last saw the trainer, or null where none ever did. sees: whether the running one sees the trainer.
    """

    runs: bool
    operator: str | None
    pid: int | None
    since: str | None
    age_s: float | None
    sees: bool


def watcher(project: Project) -> WatcherData | None:
    """The watcher of a project; None where none was ever started. Neither takes a lock nor writes."""
    try:
        holder = locks.holder(project.layout.watch_lock)
    except (OSError, HostError):
        holder = None
    beat = watch_state.heartbeat(project.layout)
    if holder is None and not beat:
        return None
    age = max(0.0, now().timestamp() - float(beat["t"])) if beat else None
    described = holder or {}
    pid = described.get("pid", "")
    return WatcherData(
        holder is not None,
        described.get("operator"),
        int(pid) if pid.isdigit() else None,
        described.get("since"),
        age,
        holder is not None and age is not None and age <= OLD_S,
    )


def watched_by(holder: Mapping[str, str]) -> Message:
    """Who watches. `holder`: what they wrote about themselves."""
    values = {name: holder.get(name, "?") for name in ("operator", "pid", "since")}
    return tr("{operator} is watching here (pid {pid}, since {since})", **values)


def watcher_line(data: WatcherData) -> Message:
    """The watcher in one line."""
    if not data.runs:
        return tr("no watcher runs; one last saw the trainer {age} ago", age=about_text(data.age_s or 0.0))
    who = watched_by({"operator": data.operator or "?", "pid": str(data.pid or "?"), "since": data.since or "?"})
    if data.age_s is None:
        return joined(", ", [who, tr("and has not seen the trainer yet")])
    if not data.sees:
        return joined(", ", [who, tr("and can't see the trainer since {age}", age=about_text(data.age_s))])
    return joined(", ", [who, tr("its heartbeat is {age} old", age=about_text(data.age_s))])
