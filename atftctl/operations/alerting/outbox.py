"""Start the process that tells people of incidents: after a command, never during one, and without waiting for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from atftctl.domain.alert import Alert, Conclusion, Notification
from atftctl.host.process import rights
from atftctl.host.process.command import run
from atftctl.host.process.spawn import spawn_unheard
from atftctl.host.self_copy import private_copy, relay
from atftctl.operations.project import Project, now
from atftctl.protocol.messages import tr
from atftctl.state import alerts

COMMAND = "__notify"  # how the process is called; not for people
LIMIT_S = 10.0  # to find out whether another user can run it


def poke(project: Project) -> str:
    """Start the process, where the runbook has routes. It runs in a session of its own. Raises nothing: that nobody can
    be told must not fail an operation. Returns why it can't run; "" where that is not known."""
    if not project.runbook.routes:
        return ""
    try:
        if problem := obstacle(project):
            return problem
        spawn_unheard(relay.command((COMMAND,)), cwd=project.layout.root, env=_environment(project))
    except Exception:  # noqa: BLE001 - whatever is broken here, the operation is done
        return ""
    return ""


def obstacle(project: Project) -> str:
    """Why the owner of the project can't run this atftctl, where root works for that user: often it is installed in
    root's home. "" where nothing is in the way."""
    root = project.layout.root
    user = rights.user_of(root)
    if user is None:
        return ""
    done = run(relay.command(("--version",)), cwd=root, env=_environment(project), limit_s=LIMIT_S)
    if done.code == 0:
        return ""
    return tr("{user}, the owner of the project, can't run {command}: {reason}",
              user=user.label, command=relay.command(())[0], reason=done.last_line)  # fmt: skip


def _environment(project: Project) -> Mapping[str, str]:
    return sender_environment(project.layout.root, [route.variable for route in project.runbook.routes.values()])


def sender_environment(root: Path, variables: Collection[str]) -> Mapping[str, str]:
    """The environment of a process that sends messages. variables: those of the routes; root passes only some of them
    on to another user."""
    user = rights.user_of(root)
    own = relay.environment(private_copy.package().parent)
    if user is None:
        return own
    passed = rights.inherited(user, [name for name in variables if rights.passes_route(name, user)])
    return rights.Chosen({**passed, **rights.environment(own, user)})


def page(project: Project, text: str, command: str) -> None:
    """Ask for a person: record that atftctl has stopped acting by itself, and tell people. `text`: what happened, in
    one line. `command`: what helps. Raises Refused, HostError, OSError where it can't be recorded."""
    stamp = now()
    at = stamp.isoformat(timespec="milliseconds")
    alert = Alert("firing", "", at, {"alertname": "atftctl"})
    sent = Notification("atftctl", "firing", (alert,))
    alerts.record(project.layout, sent, "atftctl", stamp, Conclusion("fault", text, command, at=at))
    poke(project)
