"""`guard`: may a trainer be started here now? For whoever starts it otherwise than by `atftctl trainer start`."""

from __future__ import annotations

from atftctl.domain.errors import Refused
from atftctl.domain.facts import Process
from atftctl.host import locks
from atftctl.observe.configs import digest
from atftctl.operations.change.project_lock import held_by
from atftctl.operations.project import Project, now, observe, require_readable
from atftctl.state import quarantine, reserve
from atftctl.state import staged as staged_state


def check(project: Project, override: str) -> None:
    """Raises Refused. `override`: the reason why a quarantined config is to be started all the same; from then on it is
    no longer quarantined."""
    layout = project.layout
    holder = locks.holder(layout.lock)
    if holder is not None:
        raise Refused(held_by(holder), hint="wait for it")
    facts = observe(project)
    if facts.open_operation:
        raise Refused(facts.open_operation.summary, hint="atftctl recover")
    require_readable(project, facts.configs)
    if why := _somebody(facts.process):
        raise Refused(why, hint="atftctl trainer status")
    if (staged := staged_state.read(layout)) and staged_state.is_running(staged):
        raise Refused(f"{staged.summary} (pid {staged.pid})", hint="wait for it")
    found = digest(facts.configs)
    why = quarantine.reason(layout, found)
    if why and not override:
        raise Refused(
            f"this config ({found[:12]}) is quarantined: {why}",
            hint="change it, or: atftctl guard --override 'why it is safe now' -- COMMAND",
        )
    if why:
        reserve.prepare(layout)
        quarantine.lift(layout, found, f"overridden: {override}", now())


def _somebody(process: Process) -> str:
    """Who trains here already, or may."""
    if process.where:
        return f"a trainer was started on {process.where}, and can't be seen from here"
    if process.alive:
        return f"the trainer runs already, pid {process.pid}"
    if process.leftovers:
        return f"processes of the last run are left: pid {', '.join(map(str, process.leftovers))}"
    if process.unmanaged:
        return f"a trainer that was started by hand runs here: pid {process.unmanaged[0].pid}"
    return ""
