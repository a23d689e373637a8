"""Receivers of messages on loopback: an HTTP server that misbehaves on purpose, and a mail server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came, and how to behave: ok, hang, drip, redirect, error, close."""

    port: int
    behaviour: str = "ok"
    came: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # the method and path of each
    others: list[str] = field(default_factory=list)  # by text of mail

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/alerts"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.came]


@contextmanager
def http_receiver(behaviour: str = "ok") -> Iterator[Receiver]:
    """An HTTP server; messages of apprise's json:// are in `came` once they were read."""
    receiver = Receiver(0, behaviour)
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.requests.append(f"POST {self.path}")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            getattr(self, receiver.behaviour)(body)

        def do_GET(self) -> None:  # where a client follows a redirect
            receiver.requests.append(f"GET {self.path}")
            self.send_response(200)
            self.end_headers()

        def ok(self, body: bytes) -> None:
            receiver.came.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def hang(self, body: bytes) -> None:
            released.wait(60)
            self.close_connection = True

        def drip(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not released.wait(0.2):
                self.wfile.write(b".")

        def redirect(self, body: bytes) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.end_headers()

        def error(self, body: bytes) -> None:
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"<script>alert(1)</script>")

        def close(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield receiver
    finally:
        released.set()
        server.shutdown()
        server.server_close()


@contextmanager
def mail_receiver() -> Iterator[Receiver]:
    """A mail server; whole mails are in `others`."""
    from aiosmtpd.controller import Controller

    receiver = Receiver(0)

    class Inbox:
        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
            receiver.others.append(envelope.content.decode("utf-8", "replace"))
            return "250 taken"

    controller = Controller(Inbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    receiver.port = controller.port
    try:
        yield receiver
    finally:
        controller.stop()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Any, limit_s: float = 20.0) -> float:
    """Wait until the condition holds; how long that took. Fails after `limit_s` seconds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < limit_s, f"a condition did not become true within {limit_s:g} s"
        time.sleep(0.02)
    return time.monotonic() - begun
