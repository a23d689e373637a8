"""`alert list` and `alert show`: the alerts that came in, and the routes on which people are told."""

from __future__ import annotations

import os

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.incident_events import RouteState
from atftctl.domain.result import Result
from atftctl.domain.text import nearest
from atftctl.operations.alerting.alert_data import AlertListData, AlertShowData, RouteData, described
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import joined, tr, trn
from atftctl.state import alerts, notifications


def list_all(project: Project) -> Result:
    """The alerts, newest first, and the routes. Raises Refused where the record is damaged."""
    known = [described(alert) for alert in reversed(alerts.read(project.layout))]
    routes = routes_of(project)
    failed = [route for route in routes if route.problem]
    headline = trn("{count} alert came in", "{count} alerts came in", len(known))
    if failed:
        names = joined(", ", [route.name for route in failed])
        headline = tr("{headline}; people could not be told on: {names}", headline=headline, names=names)
    code = Exit.CHECK_FAILED if failed else Exit.DONE
    return Result("alert list", code, headline, data=AlertListData(tuple(known), routes))


def show(project: Project, id_: str) -> Result:
    """One alert: by its id, the beginning of it, or the newest for "". Raises Refused, UsageError."""
    known = alerts.read(project.layout)
    if not known:
        raise Refused(tr("no alert came in yet"))
    matches = [alert for alert in known if alert.id.startswith(id_)] if id_ else known[-1:]
    if len(matches) != 1:
        ids = [alert.id for alert in matches or known]
        text = tr("{id!r} is ambiguous: it matches {ids}", id=id_, ids=joined(", ", ids[:5]))
        raise UsageError(text if matches else tr("there is no alert {id!r}", id=id_), hint=nearest(id_, ids[-50:]))
    alert = matches[0]
    headline = tr(
        "{id}: {title} ({status})",
        id=alert.id,
        title=alert.notification.title,
        status=tr("over") if alert.is_over else tr("not over, as far as is known"),
    )
    return Result("alert show", Exit.DONE, headline, data=AlertShowData(described(alert)))


def routes_of(project: Project) -> tuple[RouteData, ...]:
    """The routes of the runbook, each with the newest incident that it was to be told of."""
    told = notifications.read(project.layout)
    shown = []
    for name, route in project.runbook.routes.items():
        newest = next((each for each in reversed(told) if name in each.routes), None)
        state = newest.routes[name] if newest else RouteState()
        is_set = bool(route.variable and os.environ.get(route.variable))
        shown.append(
            RouteData(
                name, route.variable, is_set, route.severity, newest.id if newest else "", state.sent, state.problem,
                state.failed_at,
            )
        )  # fmt: skip
    return tuple(shown)
