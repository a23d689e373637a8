"""Messages on routes, to real receivers on loopback that hang, redirect, fail and close."""

from __future__ import annotations

import email
import os
import threading
import time
from collections.abc import Iterator
from email.policy import default
from pathlib import Path

import pytest

from atftctl.operations.alerting.deliver import Outcome, Outgoing, deliver
from tests.support.receivers import Receiver, free_port, http_receiver, mail_receiver

pytest.importorskip("apprise")
pytest.importorskip("aiosmtpd")
SECRET = "s3cr3t-Passw0rd"
TOKEN = "T0kenOfTheRoute"
TEXT = 'rollback done <script>alert(1)</script> & "quoted"\nsecond line\n日本語'
BEHAVIOURS = ("ok", "hang", "drip", "redirect", "error", "close")
LIMIT_S = 8.0


class Sent:
    """What became of one message on each route, all sent at the same time."""

    def __init__(self, root: Path) -> None:
        self.servers: dict[str, Receiver] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.command_lines: set[str] = set()
        from contextlib import ExitStack

        with ExitStack() as stack:
            self.servers = {name: stack.enter_context(http_receiver(name)) for name in BEHAVIOURS}
            self.mail = stack.enter_context(mail_receiver())
            addresses = {name: self._address(server) for name, server in self.servers.items()}
            addresses["refused"] = f"json://user:{SECRET}@127.0.0.1:{free_port()}/{TOKEN}"
            addresses["nowhere"] = f"json://user:{SECRET}@no-such-host.invalid/{TOKEN}"
            addresses["nonsense"] = f"nonsense-{SECRET}-{TOKEN}"
            addresses["mail"] = (
                f"mailto://127.0.0.1:{self.mail.port}/?from=a@example.org&to=b@example.org&mode=insecure"
            )
            self._send(root, addresses)

    @staticmethod
    def _address(server: Receiver) -> str:
        return f"json://user:{SECRET}@127.0.0.1:{server.port}/{TOKEN}?rto=4&cto=4"

    def _send(self, root: Path, addresses: dict[str, str]) -> None:
        names = [*addresses, "unset"]
        os.environ.update({f"ROUTE_{name}": address for name, address in addresses.items()})
        messages = [Outgoing(f"ROUTE_{name}", "critical", "a subject", TEXT) for name in names]
        looking = threading.Event()
        looker = threading.Thread(target=self._look, args=(looking,))
        looker.start()
        begun = time.monotonic()
        try:
            self.outcomes = dict(zip(names, deliver(root, messages, LIMIT_S), strict=True))
        finally:
            self.seconds = time.monotonic() - begun
            looking.set()
            looker.join()
            for name in addresses:
                del os.environ[f"ROUTE_{name}"]

    def _look(self, end: threading.Event) -> None:
        """Collect the arguments of all processes, which every user of the machine can see."""
        while not end.wait(0.1):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    try:
                        self.command_lines.add(Path(f"/proc/{name}/cmdline").read_text(errors="replace"))
                    except OSError:
                        continue


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    return Sent(tmp_path_factory.mktemp("project"))  # type: ignore[return-value]


def test_what_comes_is_the_message(sent: Sent) -> None:
    assert sent.outcomes["ok"].problem == ""
    [message] = sent.servers["ok"].came
    assert (message["title"], message["message"]) == ("a subject", TEXT)
    assert message["type"] == "failure"


def test_mail_comes_with_html_escaped(sent: Sent) -> None:
    assert sent.outcomes["mail"].problem == ""
    [mail] = sent.mail.others
    message = email.message_from_string(mail, policy=default)
    assert message["Subject"] == "a subject"
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    assert "second line" in parts["text/plain"]
    assert "<script>" not in parts.get("text/html", "")


@pytest.mark.parametrize("name", ["hang", "drip"])
def test_a_server_that_hangs_is_given_up(sent: Sent, name: str) -> None:
    assert sent.outcomes[name].problem
    assert sent.seconds < LIMIT_S + 5
    assert "within 8 s" in sent.outcomes["drip"].problem


def test_a_redirect_is_not_followed(sent: Sent) -> None:
    """A client that follows one asks with GET, gets an answer, and the message is lost."""
    assert "302" in sent.outcomes["redirect"].problem
    assert [request.split()[0] for request in sent.servers["redirect"].requests] == ["POST"]


def test_an_error_of_the_server_is_a_failure(sent: Sent) -> None:
    assert "500" in sent.outcomes["error"].problem
    assert "<script>" not in sent.outcomes["error"].problem


@pytest.mark.parametrize("name", ["close", "refused", "nowhere"])
def test_a_connection_that_fails_is_a_failure_that_may_pass(sent: Sent, name: str) -> None:
    assert sent.outcomes[name].problem
    assert not sent.outcomes[name].final
    assert name != "refused" or "Connection refused" in sent.outcomes[name].problem, (
        "the cause, not only that it failed"
    )


def test_a_wrong_address_is_not_tried_again(sent: Sent) -> None:
    assert sent.outcomes["nonsense"].problem == "ROUTE_nonsense holds no address that apprise understands"
    assert sent.outcomes["nonsense"].final
    assert sent.outcomes["unset"].problem == "the environment variable ROUTE_unset is not set"
    assert sent.outcomes["unset"].final


def test_no_secret_is_in_an_outcome_or_among_the_arguments_of_a_process(sent: Sent) -> None:
    texts = [*(outcome.problem for outcome in sent.outcomes.values()), *sent.command_lines]
    assert any("__send" in line for line in sent.command_lines)
    assert [text for text in texts if SECRET in text or TOKEN in text] == []


def test_without_apprise_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "apprise.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", f"{shadow}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("ROUTE", "json://127.0.0.1/x")
    [outcome] = deliver(tmp_path, [Outgoing("ROUTE", "info", "s", "b")])
    assert "apprise is not installed" in outcome.problem
    (shadow / "apprise.py").write_text("raise SystemExit(3)")
    [outcome] = deliver(tmp_path, [Outgoing("ROUTE", "info", "s", "b")])
    assert outcome.problem == "the process that sends it ended without an answer"
