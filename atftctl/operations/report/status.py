"""`status`, `history`, `recover`, `runbook show|lint`: where things stand, and cleaning up after a crash."""

from __future__ import annotations

from typing import Any

from atftctl.decide.plans.setting_changes import state
from atftctl.domain.errors import Refused
from atftctl.domain.result import Result
from atftctl.host import locks
from atftctl.observe.snapshots.catalog import last_good, newest
from atftctl.operations.change.project_lock import held_by
from atftctl.operations.project import Project, observe
from atftctl.operations.report.health import faults
from atftctl.operations.trainer_process import status as trainer_status
from atftctl.protocol import Exit
from atftctl.state import history
from atftctl.state import staged as staged_state


def status(project: Project) -> Result:
    """Changes nothing, takes no lock, needs no torch."""
    facts = observe(project)
    entries = history.read(project.layout)
    holder = locks.holder(project.layout.lock)
    running = facts.process
    good = last_good(project.layout, facts.snapshots)
    features = state(project.runbook, facts)
    found = faults(project, facts)
    lines = [*_left_staged(project), *([held_by(holder)] if holder is not None else [])]
    lines += [fault.words for fault in found]
    data: dict[str, Any] = {
        "service": project.runbook.service,
        "features": {
            name: {"state": word, "title": project.runbook.feature(name).title.say(project.language)}
            for name, word in features.items()
        },
        "trainer": trainer_status.status(project, running).data,
        "snapshots": len(facts.snapshots),
        "latest_snapshot": latest.id if (latest := newest(project.layout, facts.snapshots)) else None,
        "last_good": good.id if good else None,
        "open_operation": facts.open_operation.id if facts.open_operation else None,
        "last_operation": entries[-1] if entries else None,
        "locked_by": holder,
        "faults": [vars(fault) for fault in found],
    }
    where = f", pid {running.pid}" if running.pid else ""
    step = f", step {running.step}" if running.step is not None else ""
    return Result(
        "status",
        Exit.DONE,
        f"{project.runbook.service}: trainer {running.state}{where}{step}",
        lines=tuple(lines),
        data=data,
    )


def _left_staged(project: Project) -> list[str]:
    try:
        state = staged_state.read(project.layout)
    except Refused as error:
        return [error.message]
    return [f"{state.summary} (since {state.started}, {state.operator}): atftctl resume"] if state else []
