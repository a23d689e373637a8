"""Alerts that came in, and the routes on which people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.cli.render.ages import age
from atftctl.cli.render.console import FAIL, OK, UNKNOWN, mark_column, say
from atftctl.cli.render.result import tone_of
from atftctl.cli.render.tables import show_fields, show_table
from atftctl.domain.result import Result
from atftctl.domain.text import moment
from atftctl.protocol.messages import tr, trn

if TYPE_CHECKING:
    from atftctl.operations.alerting.alert_data import AlertData, RouteData


def alerts(result: Result) -> None:
    """One row an alert, the newest first; then the routes."""
    from atftctl.operations.alerting.alert_data import AlertListData

    data = result.data
    assert isinstance(data, AlertListData)
    say(result.headline, tone_of(result.exit_code))
    if data.alerts:
        rows = [(alert.id, age(alert.at), _state(alert), _verdict(alert), alert.title) for alert in data.alerts]
        show_table((tr("alert"), tr("came"), tr("state"), tr("diagnosis"), tr("name")), rows)
    for route in data.routes:
        _route(route)


def _state(alert: AlertData) -> str:
    return tr("over") if alert.resolved or alert.status == "resolved" else tr("firing")


def _verdict(alert: AlertData) -> str:
    return alert.diagnosis.verdict if alert.diagnosis else "-"


def _route(route: RouteData) -> None:
    """A route, with what is wrong with it."""
    values = {"name": route.name, "severity": route.severity}
    if route.problem:
        text = tr(
            "route {name}: not sent at {time}: {problem}", time=moment(route.failed_at), problem=route.problem, **values
        )
        say(text, "bad", lead=mark_column(FAIL))
    elif not route.set:
        text = tr(
            "route {name}: the environment variable {variable} is not set here", variable=route.variable, **values
        )
        say(text, "warn", lead=mark_column(UNKNOWN))
    elif route.sent:
        text = trn(
            "route {name}: {count} message about incident {incident}",
            "route {name}: {count} messages about incident {incident}",
            route.sent,
            incident=route.incident,
            **values,
        )
        say(text, lead=mark_column(OK))
    else:
        say(tr("route {name}: nothing was sent yet (from severity {severity} on)", **values), lead=mark_column(OK))


def alert(result: Result) -> None:
    """One alert in full."""
    from atftctl.operations.alerting.alert_data import AlertShowData

    data = result.data
    assert isinstance(data, AlertShowData)
    shown = data.alert
    say(result.headline)
    show_fields(
        (
            (tr("came"), moment(shown.at)),
            (tr("times"), str(shown.seen)),
            (tr("over since"), moment(shown.resolved)),
            (tr("group"), shown.key),
        )
    )
    for labels, remarks in zip(shown.labels, shown.annotations, strict=True):
        say(", ".join(f"{name}={value}" for name, value in labels.items()), lead="  ", hang=4)
        for name, value in remarks.items():
            say(f"{name}: {value}", lead="    ", hang=6)
    if shown.more:
        say(trn("{count} further alert was left out", "{count} further alerts were left out", shown.more), lead="  ")
    _diagnosis(shown)


def _diagnosis(shown: AlertData) -> None:
    concluded = shown.diagnosis
    if concluded is None:
        say(tr("no diagnosis was made: the alert is over"), lead="  ")
        return
    say(tr("diagnosis: {headline}", headline=concluded.headline), "strong", lead="  ", hang=4)
    for line in concluded.evidence:
        say(line, lead="    ", hang=6)
    if concluded.command:
        say(tr("next: {hint}", hint=concluded.command), "strong", lead="  ", hang=4)
