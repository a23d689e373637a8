"""People hear of an incident on the routes of the runbook, and no operation waits for that."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerting.test_receive import notification
from tests.support.projects import OOM, RUNBOOK, Project, make_project, processes_of
from tests.support.receivers import Receiver, free_port, http_receiver, wait_until
from tests.support.small_disk import fill, small_disk

pytest.importorskip("apprise")
SECRET = "s3cr3t-Passw0rd"
ROUTES = """
routes:
  oncall: {url: "env:ROUTE_ONCALL", severity: warning}
  japanese: {url: "env:ROUTE_JAPANESE", severity: critical, language: ja}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


@pytest.fixture
def routed(project: Project, receiver: Receiver) -> Project:
    """With two routes; without the check of settings, which each message would make."""
    text = project.read(RUNBOOK).decode()
    project.write(RUNBOOK, re.sub(r"\n  validate: .*", "", text) + ROUTES)
    project.env["ROUTE_ONCALL"] = f"json://user:{SECRET}@127.0.0.1:{receiver.port}/T0kenOfTheRoute"
    return project


def told(project: Project, route: str = "oncall") -> dict[str, object]:
    """What the newest record says of a route."""
    record = json.loads(project.read(".atftctl/notifications.json"))["body"]["incidents"]
    state: dict[str, object] = record[-1]["routes"].get(route, {})
    return state


def doctor(project: Project) -> str:
    """What `doctor` says of the routes; its other parts take seconds."""
    from atftctl.operations.project import open_to_look
    from atftctl.operations.report.doctor import route_findings

    return "\n".join(
        f"{finding.name} {finding.message} {finding.costs}" for finding in route_findings(open_to_look(project.root))
    )


def notifiers(project: Project) -> list[int]:
    return [pid for pid in processes_of(project.root) if b"__notify" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_one_message_for_an_incident_and_one_for_its_end(routed: Project, receiver: Receiver) -> None:
    routed.start_trainer()
    done = routed.run(*OOM, "--reason", f"the password is {SECRET}")
    assert done.code == 0, done
    wait_until(lambda: receiver.came)
    message = receiver.came[0]["message"]
    operation = done.out.split("undo: atftctl undo ")[1].split()[0]
    for part in (f"rollback {operation}", "trainer running", "atftctl verify", "contact: "):
        assert part in message
    assert operation in receiver.titles[0]
    assert routed.run("trainer", "stop").code == 0
    wait_until(lambda: len(receiver.came) == 2)
    assert "ended: the trainer was stopped" in receiver.titles[1]
    wait_until(lambda: not notifiers(routed))
    assert told(routed)["ended"]
    for name, data in routed.tree().items():
        assert b"T0kenOfTheRoute" not in data, name
        assert SECRET.encode() not in data or name.startswith((".atftctl/history", ".atftctl/operations")), name
    assert SECRET not in json.dumps(receiver.came), "not even where an operator wrote it down"


def test_a_failed_change_is_critical_and_in_the_language_of_its_route(routed: Project) -> None:
    with http_receiver() as other:
        routed.env["ROUTE_JAPANESE"] = other.url
        routed.behave("die")
        assert routed.run(*OOM).code == 0, "no trainer runs: nothing to start"
        assert routed.run("trainer", "start").code == 1
        wait_until(lambda: other.came)
    assert "何が起きたか" in other.came[0]["message"]
    assert other.came[0]["type"] == "failure"


def test_a_route_that_hangs_costs_a_rollback_nothing(routed: Project, receiver: Receiver) -> None:
    receiver.behaviour = "hang"
    begun = time.monotonic()
    assert routed.run(*OOM).code == 0
    assert routed.run("undo", "--yes").code == 0
    assert routed.run(*OOM).code == 0
    assert time.monotonic() - begun < 30
    wait_until(lambda: receiver.requests)
    wait_until(lambda: len(notifiers(routed)) <= 2)  # one that sends, and one that waits; a third one ends at once
    assert not receiver.came


def test_a_message_that_fails_is_shown_and_sent_with_the_next_event(routed: Project, receiver: Receiver) -> None:
    receiver.behaviour = "error"
    assert routed.run(*OOM).code == 0
    wait_until(lambda: (routed.root / ".atftctl/notifications.json").exists() and told(routed)["problem"])
    listed = routed.run("alert", "list")
    assert listed.code == 1
    assert "route oncall: not sent" in listed.out
    assert "500" in listed.out
    assert SECRET not in listed.out
    assert "people could not be told; next: atftctl alert test oncall" in doctor(routed)
    receiver.behaviour = "ok"
    for pid in notifiers(routed):
        os.kill(pid, signal.SIGKILL)  # as if it had given up; the next event tells
    assert routed.run("config", "set", "huber_loss", "false", "--yes", "--no-restart").code == 0
    wait_until(lambda: receiver.came)
    wait_until(lambda: not told(routed)["problem"])
    assert told(routed)["sent"] == 1


def test_a_message_that_fails_is_tried_again(routed: Project, receiver: Receiver) -> None:
    receiver.behaviour = "close"
    assert routed.run(*OOM).code == 0
    wait_until(lambda: receiver.requests)
    receiver.behaviour = "ok"
    wait_until(lambda: receiver.came)


def test_where_the_variable_is_not_set_a_later_command_tells(routed: Project, receiver: Receiver) -> None:
    address = routed.env.pop("ROUTE_ONCALL")
    assert routed.run(*OOM).code == 0
    wait_until(lambda: (routed.root / ".atftctl/notifications.json").exists())
    assert told(routed)["problem"]["text"] == "the environment variable ROUTE_ONCALL is not set"
    listed = routed.run("alert", "list", "--lang", "ja")
    assert "環境変数 ROUTE_ONCALL が設定されていません" in listed.out, "the reader chooses the language"
    routed.env["ROUTE_ONCALL"] = address
    assert routed.run("config", "set", "huber_loss", "false", "--yes", "--no-restart").code == 0
    wait_until(lambda: receiver.came)


def test_a_record_that_cannot_be_written_stops_no_message(routed: Project, receiver: Receiver) -> None:
    (routed.root / ".atftctl/notifications.json").mkdir(parents=True)
    done = routed.run(*OOM)
    assert (done.code, done.err) == (0, ""), done
    wait_until(lambda: receiver.came)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_on_a_full_disk_people_are_told_and_the_operation_ends_as_ever(tmp_path: Path, receiver: Receiver) -> None:
    with small_disk(tmp_path / "disk") as disk:
        project = make_project(disk / "project", tmp_path / "violations")
        project.write(RUNBOOK, project.read(RUNBOOK).decode() + ROUTES)
        assert project.run("config", "set", "huber_loss", "false", "--yes", "--no-restart").code == 0, (
            "with the reserve"
        )
        project.env["ROUTE_ONCALL"] = receiver.url
        fill(disk)
        assert project.run(*OOM).code == 0
        fill(disk)
        wait_until(lambda: receiver.came)
        refused = project.run("alert", "receive", stdin=notification())
        assert refused.code == 3
        assert "No space left on device" in refused.err
        for pid in processes_of(project.root):
            os.kill(pid, signal.SIGKILL)


def test_each_line_of_a_message_is_one_line_and_the_message_has_a_limit(tmp_path: Path) -> None:
    from atftctl.decide.alerting.message import Text
    from atftctl.domain.incident_events import Due, Event, Incident
    from atftctl.domain.route import Route
    from atftctl.operations.alerting.notifier import Job, Notifier

    job = Job("r", Route("env:R"), Incident((Event("x", 0.0, "x"),)), Due(0.0, "first"))
    notifier = Notifier(tmp_path, lambda text, language: text)
    forged = "a\nWhat to decide:\r\n  run: curl evil"
    sent = notifier._outgoing(job, Text(forged, ("one", forged, *["\U0001f600" * 300] * 200)), [])
    assert sent.subject == r"a\nWhat to decide:\r\n  run: curl evil"
    assert sent.body.split("\n")[:2] == ["one", sent.subject]
    assert len(json.dumps(vars(sent), ensure_ascii=False).encode()) < 64 << 10, "so much fits into a pipe"


def test_many_messages_are_not_sent_by_as_many_processes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from atftctl.operations.alerting import notifier as notifying
    from atftctl.operations.alerting.deliver import Outcome

    project = make_project(tmp_path / "project", tmp_path / "violations")
    routes = "".join(f'\n  r{number}: {{url: "env:R"}}' for number in range(20))
    text = re.sub(r"\n  validate: .*", "", project.read(RUNBOOK).decode())
    assert project.run(*OOM, "--no-restart").code == 0
    project.write(RUNBOOK, text + f"\nroutes:{routes}\n")
    counts: list[int] = []

    def deliver(root: Path, messages: list[object]) -> list[Outcome]:
        counts.append(len(messages))
        return [Outcome() for _ in messages]

    monkeypatch.setattr(notifying, "deliver", deliver)
    assert notifying.serve(project.root, lambda text, language: text) == 0
    assert (sum(counts), max(counts)) == (20, 8)


def test_an_event_of_the_year_9999_silences_nobody(routed: Project, receiver: Receiver) -> None:
    assert routed.run("config", "set", "huber_loss", "false", "--yes", "--no-restart").code == 0
    line = json.loads(routed.read(".atftctl/history.jsonl").splitlines()[-1])
    line |= {"operation": "x", "command": "rollback", "ended": "9999-12-31T23:59:59-14:00"}
    routed.write(".atftctl/history.jsonl", routed.read(".atftctl/history.jsonl").decode() + json.dumps(line) + "\n")
    assert routed.run(*OOM, "--no-restart").code == 0
    wait_until(lambda: receiver.came)
    assert "config set x" not in json.dumps(receiver.came) and "rollback x" not in json.dumps(receiver.came)


def test_people_are_told_of_an_undo_though_the_runbook_is_broken(routed: Project, receiver: Receiver) -> None:
    address = routed.env.pop("ROUTE_ONCALL")
    assert routed.run(*OOM, "--no-restart").code == 0
    wait_until(lambda: not notifiers(routed))
    routed.env["ROUTE_ONCALL"] = address
    routed.write(RUNBOOK, routed.read(RUNBOOK).decode() + "\nno_such_key: 1\n")
    undone = routed.run("undo", "--yes")
    assert undone.code == 0, undone
    wait_until(lambda: receiver.came)
    assert "undo" in receiver.titles[0]


def test_a_notifier_that_is_broken_changes_no_exit_code(routed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from atftctl.cli.session import Session
    from atftctl.operations.alerting import gather

    session = Session("status", project=routed.root)
    session.open(look=True)
    asked = []
    monkeypatch.setattr(gather, "signature", lambda layout: asked.append(layout) or 1 / 0)
    session.tell_people()
    assert asked, "the error was met, and went no further"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a bug of ours")])
def test_where_no_process_can_be_started_the_operation_is_done(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from atftctl.operations.alerting import outbox
    from atftctl.operations.project import open_to_look

    project.write(RUNBOOK, project.read(RUNBOOK).decode() + ROUTES)
    called = []

    def fail(*arguments: object, **more: object) -> None:
        called.append(arguments)
        raise error

    monkeypatch.setattr(outbox, "spawn_unheard", fail)
    outbox.poke(open_to_look(project.root))
    assert called


def test_an_alert_with_a_fault_is_told_with_the_command(routed: Project, receiver: Receiver) -> None:
    routed.behave("oom")
    routed.run("trainer", "start")
    assert routed.run("alert", "receive", stdin=notification()).code == 0
    wait_until(lambda: receiver.came)
    assert "alert TrainerOOM; diagnosis: oom" in receiver.came[-1]["message"]
    assert "atftctl rollback --symptom oom" in receiver.came[-1]["message"]


def test_a_page_of_the_watcher_is_critical(routed: Project, receiver: Receiver) -> None:
    from atftctl.operations.alerting import outbox
    from atftctl.operations.project import open_to_look

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUTE_ONCALL", routed.env["ROUTE_ONCALL"])
        outbox.page(open_to_look(routed.root), "three rollbacks did not help", "atftctl diagnose")
        wait_until(lambda: receiver.came)
    assert "three rollbacks did not help" in receiver.titles[0]
    assert receiver.came[0]["type"] == "failure"
    assert routed.run("alert", "list", "--json").json["data"]["alerts"][0]["origin"] == "atftctl"


def test_without_routes_no_process_is_started(project: Project) -> None:
    assert project.run(*OOM).code == 0
    assert notifiers(project) == []
    assert not (project.root / ".atftctl/notify.lock").exists()
    assert "none in the runbook: contacts are printed, and nobody is told" in doctor(project)
    assert project.run("alert", "test").code == 3


def test_alert_test_sends_on_each_route(routed: Project, receiver: Receiver) -> None:
    routed.env["ROUTE_JAPANESE"] = f"json://127.0.0.1:{free_port()}"
    ended = routed.run("alert", "test", "--json")
    assert ended.code == 1
    assert ended.json["data"]["sent"] == ["oncall"]
    assert list(ended.json["data"]["failed"]) == ["japanese"]
    assert "test message" in receiver.titles[0]
    assert routed.run("alert", "test", "oncal").code == 2
    assert routed.run("alert", "test", "oncall").code == 0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"slack://{SECRET}/B/C", "an address does not belong in the runbook"),
        (f"json://user:{SECRET}@host", "an address does not belong in the runbook"),
        ("ROUTE", "this does not name an environment variable"),
        ("env:", "this does not name an environment variable"),
        ("env:A B", "this does not name an environment variable"),
    ],
)
def test_an_address_in_the_runbook_is_refused_and_not_shown(project: Project, url: str, message: str) -> None:
    project.write(RUNBOOK, project.read(RUNBOOK).decode() + f'\nroutes:\n  oncall: {{url: "{url}"}}\n')
    linted = project.run("runbook", "lint")
    assert linted.code == 1, linted
    assert message in linted.out + linted.err
    assert "env:NAME" in linted.out + linted.err
    assert SECRET not in linted.out + linted.err
    assert project.run(*OOM).code == 3, "as any other fault of the runbook"


def test_a_route_that_is_wrong_is_refused(project: Project) -> None:
    project.write(
        RUNBOOK,
        project.read(RUNBOOK).decode() + "\nroutes:\n  a b: {url: 'env:A'}\n  c: {url: 'env:A', severity: high}\n",
    )
    out = project.run("runbook", "lint").out
    assert "is no name" in out
    assert "'high' is not one of: info, warning, critical" in out
