"""`alert receive`: whatever comes on standard input, it is recorded once, or refused with nothing recorded."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from typing import Any

import pytest

from atftctl.state import alerts as state
from tests.support.projects import Project

LABELS = {"alertname": "TrainerOOM", "severity": "page"}


def notification(status: str = "firing", starts: str = "2026-11-30T10:00:00Z", key: str = "group", **more: Any) -> str:
    alert = {
        "status": status,
        "labels": {**LABELS, **more},
        "annotations": {"summary": "out of memory"},
        "startsAt": starts,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "1a2b3c",
    }
    return json.dumps({"version": "4", "groupKey": key, "truncatedAlerts": 0, "status": status, "receiver": "atftctl",
                       "groupLabels": {}, "commonLabels": LABELS, "commonAnnotations": {}, "externalURL": "http://am",
                       "alerts": [alert]})  # fmt: skip


def receive(project: Project, text: str) -> dict[str, Any]:
    ended = project.run("alert", "receive", "--json", stdin=text)
    assert ended.code == 0, ended
    data: dict[str, Any] = ended.json["data"]
    return data


def listed(project: Project) -> list[dict[str, Any]]:
    known: list[dict[str, Any]] = project.run("alert", "list", "--json").json["data"]["alerts"]
    return known


def test_a_new_alert_is_diagnosed_and_changes_nothing(project: Project) -> None:
    project.behave("oom")
    project.run("trainer", "start")
    before = {
        name: data for name, data in project.tree().items() if not name.startswith((".atftctl/", "logs/", "run/"))
    }
    ended = project.run("alert", "receive", stdin=notification())
    assert ended.code == 0, ended
    assert "diagnosis: oom: Out of memory" in ended.out
    assert "next: atftctl rollback --symptom oom" in ended.out
    assert "nothing was changed" in ended.out
    after = {name: data for name, data in project.tree().items() if not name.startswith((".atftctl/", "logs/", "run/"))}
    assert after == before
    assert len(project.run("history", "--json").json["data"]["operations"]) == 1, "the start of the trainer"
    diagnosis = listed(project)[0]["diagnosis"]
    assert diagnosis["verdict"] == "fault"
    assert any("events: " in line for line in diagnosis["evidence"])


def test_a_repeated_notification_is_only_counted(project: Project) -> None:
    first, again = receive(project, notification()), receive(project, notification())
    assert (first["new"], again["new"]) == (True, False)
    assert again["alert"]["diagnosis"] == first["alert"]["diagnosis"]
    assert [alert["seen"] for alert in listed(project)] == [2]
    assert receive(project, notification(starts="2026-11-30T12:00:00Z"))["new"], "the same alert, once more"
    assert receive(project, notification(key="other"))["new"]


def test_the_end_of_an_alert_is_recorded_with_it(project: Project) -> None:
    receive(project, notification())
    over = receive(project, notification("resolved"))
    assert over["alert"]["diagnosis"] is None
    assert all(alert["resolved"] or alert["status"] == "resolved" for alert in listed(project))


def test_an_alert_of_a_group_that_goes_on_is_over_when_the_group_says_so(project: Project) -> None:
    """Public report prometheus/alertmanager#1899: a group fires on with another alert."""
    receive(project, notification())
    both = json.loads(notification())
    over, other = {**both["alerts"][0], "status": "resolved"}, {**both["alerts"][0], "fingerprint": "9f"}
    receive(project, json.dumps({**both, "alerts": [over, other]}))
    assert [bool(alert["resolved"]) for alert in listed(project)] == [False, True]


def test_an_alert_that_is_resolved_before_it_was_seen_is_recorded_and_not_diagnosed(project: Project) -> None:
    first = receive(project, notification("resolved"))
    assert first["new"]
    assert first["alert"]["diagnosis"] is None
    late = receive(project, notification())
    assert late["alert"]["resolved"]
    assert late["alert"]["diagnosis"] is None, "it was over before it came"


def test_escapes_and_html_are_shown_and_not_obeyed(project: Project) -> None:
    hostile = "\x1b]0;title\x07\x1b[2J<script>alert(1)</script>\n\u202eevil\u0000"
    receive(project, notification(alertname=hostile, instance=hostile))
    for command in (("alert", "list"), ("alert", "show")):
        out = project.run(*command).out
        assert "\x1b" not in out and "\x00" not in out and "\u202e" not in out
        assert r"\x1b]0;title\x07\x1b[2J<script>alert(1)</script>\n\u202eevil\x00" in out
    assert b"\\u001b" not in project.read(".atftctl/alerts.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input is empty"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("\udcff", "it is not JSON"),
        ('{"version": "3"}', "its version is 3"),
        ("null", "it is not a JSON object"),
    ],
)
def test_what_is_no_notification_is_refused(project: Project, text: str, message: str) -> None:
    done = subprocess.run(
        project.argv("alert", "receive"), cwd=project.root, env=project.env, input=text.encode("utf-8", "surrogateescape"),
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert message in done.stderr.decode()
    assert "the notification was not recorded" in done.stderr.decode()
    assert not (project.root / ".atftctl/alerts.json").exists()


def test_a_body_of_100_mb_is_refused_while_it_comes(project: Project) -> None:
    program = subprocess.Popen(
        project.argv("alert", "receive"), cwd=project.root, env=project.env, stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (90 << 20, 90 << 20)),
    )  # fmt: skip
    assert program.stdin and program.stderr
    written = 0
    with pytest.raises(BrokenPipeError):
        for _ in range(100):
            written += program.stdin.write(b"x" * (1 << 20))
    assert written < 10 << 20
    assert program.wait(20) == 3
    assert b"it is longer than 1.0 MB" in program.stderr.read()


def test_a_sender_that_hangs_is_given_up(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.domain.errors import Refused
    from atftctl.domain.result import Silent
    from atftctl.operations.alerting import receive as operation
    from atftctl.operations.project import open_to_look

    monkeypatch.setattr(operation, "LIMIT_S", 0.2)
    source, sink = os.pipe()
    try:
        with pytest.raises(Refused, match="did not come to an end"):
            operation.receive(open_to_look(project.root), source, Silent())
    finally:
        os.close(source)
        os.close(sink)


def test_several_at_once_are_all_recorded(project: Project) -> None:
    programs = []
    for number in range(4):
        body = project.root / f"body{number}.json"
        body.write_text(notification(key=f"group {number}"))
        with body.open("rb") as source:
            command = project.argv("alert", "receive")
            programs.append(
                subprocess.Popen(command, cwd=project.root, env=project.env, stdin=source, stdout=subprocess.DEVNULL)
            )
    assert [program.wait(60) for program in programs] == [0] * 4
    assert {alert["key"] for alert in listed(project)} == {f"group {number}" for number in range(4)}


def test_an_alert_comes_while_an_operation_holds_the_lock(project: Project) -> None:
    import fcntl

    project.run("config", "set", "use_ema", "false", "--yes", "--no-restart")
    with (project.root / ".atftctl/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert receive(project, notification())["new"]


def test_one_that_was_killed_while_it_diagnosed_is_diagnosed_when_it_comes_again(project: Project) -> None:
    from atftctl.decide.alerting import webhook
    from atftctl.operations.project import now, open_to_look

    layout = open_to_look(project.root).layout
    state.record(layout, webhook.read(json.loads(notification())), "alertmanager", now())
    assert listed(project)[0]["diagnosis"] is None
    assert receive(project, notification())["alert"]["diagnosis"]["verdict"] == "inconclusive"


def test_the_number_of_records_is_bounded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.decide.alerting import webhook
    from atftctl.operations.project import now, open_to_look

    monkeypatch.setattr(state, "MOST", 5)
    layout = open_to_look(project.root).layout
    for number in range(8):
        sent = webhook.read(json.loads(notification(key=f"{number}")))
        state.record(layout, sent, "alertmanager", now())
    assert [alert["key"] for alert in listed(project)] == ["7", "6", "5", "4", "3"]
    monkeypatch.setattr(state, "ROOM", 1)
    state.record(layout, webhook.read(json.loads(notification(key="8"))), "alertmanager", now())
    assert [alert["key"] for alert in listed(project)] == ["8"]


def test_a_damaged_record_is_refused_and_kept(project: Project) -> None:
    receive(project, notification())
    project.replace(".atftctl/alerts.json", "TrainerOOM", "Something")
    ended = project.run("alert", "receive", stdin=notification(key="other"))
    assert ended.code == 3
    assert "was changed after it was written" in ended.err
    assert "mv " in ended.err
    assert b"Something" in project.read(".atftctl/alerts.json")


def test_the_ids_of_alerts_can_be_shortened_and_a_wrong_one_is_refused(project: Project) -> None:
    assert project.run("alert", "show").code == 3
    receive(project, notification())
    assert project.run("alert", "show", "alert-2").code == 0
    assert project.run("alert", "show", "nonsense").code == 2


def test_a_group_that_fires_is_not_named_after_alerts_that_are_over(project: Project) -> None:
    body = json.loads(notification())
    over = {**body["alerts"][0], "status": "resolved", "labels": {"alertname": "DiskFull"}, "fingerprint": "9z"}
    body["alerts"] = [over, *body["alerts"]]
    assert receive(project, json.dumps(body))["alert"]["title"] == "TrainerOOM"
    assert listed(project)[0]["labels"][0] == {"alertname": "DiskFull"}, "they are recorded all the same"
