"""Changes that wait for their confirmation, as a user makes them; what is known of them; other boots and dead timers."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.support.projects import CONFIG, PATIENCE_S, Ended, Project, wait_for

CHANGE = ("config", "set", "improvements.gat_temperature=1.0", "--yes")
QUIET = (*CHANGE, "--no-restart")
OLD, NEW = b"gat_temperature: 0.8", b"gat_temperature: 1.0"


def change(project: Project, within: str, *more: str) -> str:
    """Make a change that waits for its confirmation, without a trainer; return its operation."""
    done = project.run(*QUIET, "--confirm-within", within, "--json", *more)
    assert done.code == 0 and NEW in project.read(CONFIG), done
    operation: str = done.json["data"]["operation"]
    return operation


def record(project: Project) -> dict[str, Any]:
    """The record of the change that waits; empty where none waits."""
    try:
        body: dict[str, Any] = json.loads((project.root / ".atftctl/pending.json").read_text())["body"]
    except FileNotFoundError:
        return {}
    return body


def rewrite(project: Project, **values: object) -> None:
    """Change the record, sealed as atftctl would."""
    from atftctl.state import sealed_records

    (project.root / ".atftctl/pending.json").write_bytes(sealed_records.seal({**record(project), **values}))


def timer_pid(project: Project) -> int:
    """The pid of the timer that started last."""
    pid: int = json.loads((project.root / ".atftctl/confirm-timer.json").read_text())["body"]["pid"]
    return pid


def runs(pid: int) -> bool:
    """Is this process alive, and no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_timer(project: Project) -> None:
    pid = timer_pid(project)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not runs(pid))


def timer_log(project: Project, operation: str) -> str:
    return (project.root / ".atftctl/operations" / operation / "timer.log").read_text()


def after_reboot(project: Project, left_s: float) -> None:
    """As after a reboot: the timer is gone, and the record is of another boot, with so much time left."""
    from datetime import datetime, timedelta

    kill_timer(project)
    at = datetime.now().astimezone() + timedelta(seconds=left_s)
    rewrite(project, boot="0" * 8, deadline=1e9, deadline_at=at.isoformat(timespec="seconds"))


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def history(project: Project) -> list[dict[str, Any]]:
    path = project.root / ".atftctl/history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def await_undo(project: Project, limit_s: float = PATIENCE_S) -> None:
    """Wait until the old setting is back and nothing waits."""
    wait_for(lambda: OLD in project.read(CONFIG) and not record(project), limit_s)


def refused(ended: Ended, text: str) -> None:
    assert ended.code in (2, 3) and text in ended.err, ended
