"""Receive and list alerts, and test how people are told."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Alert = Annotated[
    str,
    typer.Argument(
        metavar="[ALERT]", help="Id of an alert, or the beginning of one (default: the newest).", show_default=False
    ),
]
Route = Annotated[
    str, typer.Argument(metavar="[ROUTE]", help="Name of a route of the runbook (default: all).", show_default=False)
]


@command("alert receive", examples=("atftctl alert receive",))
def receive(session: Session) -> "Result":
    """Record a notification of Prometheus Alertmanager, and diagnose.

    Reads the JSON that Alertmanager sends to a webhook (version 4) from standard input, at most 1 MiB. An alert that
    came before is only counted. Changes nothing: an alert is evidence. The exit code is 0 if the notification was
    taken, whatever the diagnosis says; 3 if it was refused or could not be recorded.
    """
    from atftctl.domain.errors import UsageError
    from atftctl.operations.alerting import receive as operation
    from atftctl.protocol.messages import tr

    if sys.stdin.isatty():
        raise UsageError(
            tr("the notification must come on standard input"), hint="atftctl alert receive < notification.json"
        )
    return operation.receive(session.open(look=True), sys.stdin.fileno(), session.reporter)


@command("alert list", examples=("atftctl alert list",))
def list_(session: Session) -> "Result":
    """List the alerts that came in, and the routes to people.

    The exit code is 1 if a message could not be sent.
    """
    from atftctl.cli.render import alerts as render
    from atftctl.operations.alerting import listing

    session.render = render.alerts
    return listing.list_all(session.open(look=True))


@command("alert show", examples=("atftctl alert show",))
def show(session: Session, alert: Alert = "") -> "Result":
    """Show one alert: its labels, and what the diagnosis said."""
    from atftctl.cli.render import alerts as render
    from atftctl.operations.alerting import listing

    session.render = render.alert
    return listing.show(session.open(look=True), alert)


@command("alert test", examples=("atftctl alert test", "atftctl alert test oncall"))
def test(session: Session, route: Route = "") -> "Result":
    """Send a test message on the routes of the runbook.

    The exit code is 1 if it could not be sent on each of them.
    """
    from atftctl.cli.render.translation import in_language
    from atftctl.operations.alerting import trial

    return trial.send_test(session.open(look=True), route, in_language)
