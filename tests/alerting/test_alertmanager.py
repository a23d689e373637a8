"""The set-up of docs/how-to/alerts.md with the real Alertmanager and the real `webhook` of Debian, on loopback."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import ROOT, Project
from tests.support.receivers import free_port, wait_until

EXAMPLES = ROOT / "contrib/alertmanager"
TOKEN = "a-token-of-the-test"
PROGRAMS = ("prometheus-alertmanager", "webhook", "amtool")
MISSING = [program for program in PROGRAMS if not shutil.which(program)]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"apt-get install webhook prometheus-alertmanager: {', '.join(MISSING)} not found"
)


@contextmanager
def running(argv: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("wb") as output:
        program = subprocess.Popen(argv, stdout=output, stderr=output, cwd=log.parent, env=env)
    try:
        yield
    finally:
        program.terminate()
        program.wait(10)


def post(url: str, body: bytes, token: str = TOKEN) -> tuple[int, str]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@pytest.fixture
def hook(project: Project, tmp_path: Path) -> Iterator[str]:
    """The address of the hook, served by the real `webhook` with the example's configuration."""
    command = tmp_path / "atftctl"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m atftctl "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    text = (EXAMPLES / "hooks.json").read_text()
    text = text.replace("/usr/local/lib/atftctl/receive-alert", str(EXAMPLES / "receive-alert"))
    (tmp_path / "hooks.json").write_text(text.replace("/srv/atft", str(project.root)))
    port = free_port()
    argv = ["webhook", "-template", "-hooks", "hooks.json", "-ip", "127.0.0.1", "-port", str(port)]
    env = {**project.env, "ATFTCTL": str(command), "ATFTCTL_HOOK_TOKEN": TOKEN}
    with running(argv, tmp_path / "webhook.log", env):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/"))
        yield f"http://127.0.0.1:{port}/hooks/atftctl"


def listed(project: Project) -> list[dict[str, Any]]:
    """The recorded alerts, newest first, without a command: it is asked fifty times a second."""
    path = project.root / ".atftctl/alerts.json"
    return json.loads(path.read_text())["body"]["alerts"][::-1] if path.exists() else []


def test_the_example_is_sound() -> None:
    done = subprocess.run(["amtool", "check-config", EXAMPLES / "alertmanager.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_alert_of_alertmanager_is_diagnosed_and_its_end_recorded(
    project: Project, hook: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    text = (EXAMPLES / "alertmanager.yml").read_text()
    for old, new in (
        ("http://127.0.0.1:9096/hooks/atftctl", hook),
        ("/etc/prometheus/atftctl.token", str(tmp_path / "token")),
        ("group_wait: 10s", "group_wait: 100ms"),
        ("group_interval: 1m", "group_interval: 1s"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "alertmanager.yml").write_text(text)
    port = free_port()
    address = f"127.0.0.1:{port}"
    argv = ["prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=am", "--cluster.listen-address=",
            f"--web.listen-address={address}"]  # fmt: skip
    with running(argv, tmp_path / "alertmanager.log"):
        wait_until(lambda: answers(f"http://{address}/-/ready"), 30)
        labels = {"alertname": "TrainerOOM", "note": "<b>\x1b[31m"}
        alert: dict[str, Any] = {"labels": labels, "annotations": {"summary": "out of memory"}}
        assert post(f"http://{address}/api/v2/alerts", json.dumps([alert]).encode())[0] == 200
        wait_until(lambda: any(known["conclusion"] for known in listed(project)), 60)
        alert["endsAt"] = "2026-01-01T00:00:00Z"
        alert["startsAt"] = "2025-01-01T00:00:00Z"
        assert post(f"http://{address}/api/v2/alerts", json.dumps([alert]).encode())[0] == 200
        wait_until(lambda: len(listed(project)) == 2, 60)
    over, firing = listed(project)
    assert (over["notification"]["status"], firing["notification"]["status"]) == ("resolved", "firing")
    assert firing["conclusion"]["verdict"] == "inconclusive", "no trainer runs"
    assert firing["resolved"]
    assert firing["notification"]["alerts"][0]["labels"]["note"] == r"<b>\x1b[31m"
    log = (tmp_path / "alertmanager.log").read_text()
    assert "level=error" not in log, log


def test_the_exit_code_is_what_the_sender_sees(project: Project, hook: str) -> None:
    from tests.alerting.test_receive import notification

    status, body = post(hook, notification().encode())
    assert status == 200
    assert "recorded: TrainerOOM" in body
    assert post(hook, notification().encode())[0] == 200, "known already"
    assert post(hook, b'{"version": "3"}')[0] == 500
    assert post(hook, notification(key="other").encode(), token="wrong")[0] == 403
    assert len(listed(project)) == 1
