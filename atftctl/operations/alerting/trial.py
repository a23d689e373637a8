"""`alert test`: send a test message on the routes of the runbook."""

from __future__ import annotations

import socket

from atftctl.domain.errors import Refused, UsageError
from atftctl.domain.printable import printable
from atftctl.domain.result import Result
from atftctl.domain.text import nearest
from atftctl.operations.alerting.alert_data import AlertTestData
from atftctl.operations.alerting.deliver import Outgoing, deliver
from atftctl.operations.alerting.notifier import Translate
from atftctl.operations.project import Project
from atftctl.protocol import Exit
from atftctl.protocol.messages import tr, trn


def send_test(project: Project, name: str, translate: Translate) -> Result:
    """Send a test message on one route, or on all for "". Exit code 1 where one could not be sent. Raises Refused where
    there is no route; UsageError for an unknown one."""
    routes = dict(project.runbook.routes)
    if not routes:
        raise Refused(
            tr("the runbook has no routes: nobody is told, and the contacts are only printed"),
            hint=tr("add routes to the runbook; see docs/how-to/alerts.md"),
        )
    if name and name not in routes:
        raise UsageError(tr("there is no route {name!r}", name=name), hint=nearest(name, routes))
    chosen = {name: routes[name]} if name else routes
    values = {"service": project.runbook.service, "host": socket.gethostname(), "folder": project.layout.root}
    subject = tr("{service}: test message of atftctl", **values)
    body = tr("This is a test, from {host}, {folder}. Nothing happened, and there is nothing to decide.", **values)
    messages = [
        Outgoing(route.variable, "info", translate(subject, route.language), printable(translate(body, route.language)))
        for route in chosen.values()
    ]
    outcomes = dict(zip(chosen, deliver(project.layout.root, messages), strict=True))
    failed = {name: outcome.problem for name, outcome in outcomes.items() if outcome.problem}
    sent = tuple(name for name in outcomes if name not in failed)
    headline = trn("a test message was sent on {count} route", "a test message was sent on {count} routes", len(sent))
    if failed:
        headline = tr("{headline}; {failed} failed", headline=headline, failed=len(failed))
    lines = [tr("{route}: sent", route=route) for route in sent]
    lines += [tr("{route}: not sent: {problem}", route=route, problem=problem) for route, problem in failed.items()]
    code = Exit.CHECK_FAILED if failed else Exit.DONE
    return Result("alert test", code, headline, lines=tuple(lines), data=AlertTestData(sent, failed))
