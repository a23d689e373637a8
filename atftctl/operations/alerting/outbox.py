"""Start the process that tells people of incidents: after a command, never during one, and without waiting for it."""

from __future__ import annotations

from atftctl.domain.alert import Alert, Conclusion, Notification
from atftctl.host.process.spawn import spawn_unheard
from atftctl.host.self_copy import private_copy, relay
from atftctl.operations.project import Project, now
from atftctl.state import alerts

COMMAND = "__notify"  # how the process is called; not for people


def poke(project: Project) -> None:
    """Start the process, where the runbook has routes. It runs in a session of its own. Raises nothing: that nobody can
    be told must not fail an operation."""
    if not project.runbook.routes:
        return
    try:
        env = relay.environment(private_copy.package().parent)
        spawn_unheard(relay.command((COMMAND,)), cwd=project.layout.root, env=env)
    except Exception:  # noqa: BLE001 - whatever is broken here, the operation is done
        return


def page(project: Project, text: str, command: str) -> None:
    """Ask for a person: record that atftctl has stopped acting by itself, and tell people. `text`: what happened, in
    one line. `command`: what helps. Raises Refused, HostError, OSError where it can't be recorded."""
    stamp = now()
    at = stamp.isoformat(timespec="milliseconds")
    alert = Alert("firing", "", at, {"alertname": "atftctl"})
    sent = Notification("atftctl", "firing", (alert,))
    alerts.record(project.layout, sent, "atftctl", stamp, Conclusion("fault", text, command, at=at))
    poke(project)
