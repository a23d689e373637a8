"""`trainer status`."""

from __future__ import annotations

from atftctl.decide.verdicts.crash_cause import cause
from atftctl.domain.facts import Process
from atftctl.domain.result import Result
from atftctl.observe.trainer_run import process as observed
from atftctl.operations.project import Project
from atftctl.operations.report.health import silence
from atftctl.protocol import Exit


def status(project: Project, found: Process | None = None) -> Result:
    found = found or observed.observe(project.layout, project.runbook.trainer.command)
    where = f", pid {found.pid}" if found.pid else ""
    step = f", step {found.step}" if found.step is not None else ""
    lines = [f"started {found.since}, run {found.run_id}, config {found.digest[:12] or '?'}"] if found.run_id else []
    if found.memory_mb:
        lines.append(f"memory {found.memory_mb:.0f} MB, mapped files not counted")
    if found.silent_s is not None:
        lines.append(f"{silence(found)} → atftctl trainer restart")
    if found.state == "died":
        lines.append(cause(found.last_event or {}))
    if found.where:
        lines.append(f"started on {found.where}: what it does can't be seen from here")
    if found.leftovers:
        lines.append(
            f"processes of that run are left: pid {', '.join(map(str, found.leftovers))} → atftctl trainer stop"
        )
    lines += [f"started by hand: pid {one.pid}, {one.user}: {one.command[:100]}" for one in found.unmanaged]
    data = {
        "state": found.state,
        "pid": found.pid,
        "run_id": found.run_id,
        "step": found.step,
        "digest": found.digest,
        "memory_mb": found.memory_mb,
        "section": found.section,
        "silent_s": found.silent_s,
        "where": found.where,
        "leftovers": list(found.leftovers),
        "last_event": dict(found.last_event or {}),
        "by_hand": [{"pid": one.pid, "user": one.user, "command": one.command} for one in found.unmanaged],
    }
    return Result("trainer status", Exit.DONE, f"trainer: {found.state}{where}{step}", lines=tuple(lines), data=data)
