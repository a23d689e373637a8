"""Record each start and stop of the trainer in the history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from atftctl.host import locks
from atftctl.host.errors import HostError, reason
from atftctl.operations.project import Project, now
from atftctl.operations.request import Request
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr
from atftctl.state import history


def log(
    project: Project,
    command: str,
    request: Request,
    title: str,
    exit_code: Exit = Exit.DONE,
    *,
    generation: int = 0,
    proof: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Append a line to the history. Return a warning to show where the history can't be written; never raise for it:
    the trainer has already been started or stopped. `generation`: of the trainer that was started; 0 where none was.
    `proof`: what proves that it is healthy."""
    stamp = now()
    try:
        started: dict[str, Any] = {"generation": generation} if generation else {}
        started |= {"proof": dict(proof)} if proof else {}
        history.append(project.layout, {**_line(command, request, title, stamp, exit_code), **started})
    except (OSError, HostError) as error:
        return (tr("this could not be recorded in the history: {reason}", reason=reason(error)),)
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
