"""A line of the history for each start and stop of the trainer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.state import history


def log(project: Project, command: str, request: Request, title: str, exit_code: Exit = Exit.DONE) -> tuple[str, ...]:
    """A line of the history. What was done is done, also where that can't be written down: then the words for it."""
    stamp = now()
    try:
        history.append(project.layout, _line(command, request, title, stamp, exit_code))
    except (OSError, HostError) as error:
        return (f"the history could not be told of it: {reason(error)}",)
    return ()


def _line(command: str, request: Request, title: str, stamp: datetime, exit_code: Exit) -> dict[str, Any]:
    return {
        "operation": f"{stamp.strftime('%Y%m%d_%H%M%S_%f')}-process",
        "command": command,
        "title": title,
        "reason": request.reason,
        "operator": locks.operator(),
        "started": stamp.isoformat(timespec="seconds"),
        "ended": stamp.isoformat(timespec="seconds"),
        "outcome": "done" if exit_code is Exit.DONE else "not healthy",
        "exit_code": int(exit_code),
        "files": [],
    }
