"""Send one message with apprise: what the process `atftctl __send` does. The message comes on its standard input."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from atftctl.decide.alerting.message import uncalled, without
from atftctl.domain.printable import printable
from atftctl.protocol.messages import record_of, tr

TYPES = {"info": "info", "warning": "warning", "critical": "failure"}  # by severity, as apprise calls them
PROBLEM = 200  # characters
CAUSE = "Socket Exception: "  # how apprise begins the line


def send(message: Mapping[str, Any]) -> dict[str, Any]:
    """Send a message: `problem`, why it was not sent, or ""; and `final`, it would fail the next time, too."""
    address = os.environ.get(str(message["variable"]), "").strip()
    if not address:
        text = tr("the environment variable {name} is not set", name=message["variable"])
        return _failed(text, final=True)
    try:
        return _send(address, message)
    except ImportError:
        return _failed(tr("apprise is not installed: pip install 'atftctl[alerts]'"), final=True)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises: its text may hold the address
        return _failed(_safe(f"{type(error).__name__}: {error}", address), final=False)


def _send(address: str, message: Mapping[str, Any]) -> dict[str, Any]:
    import apprise

    asset = apprise.AppriseAsset(app_id="atftctl", app_desc="atftctl", http_redirects=False)
    service = apprise.Apprise(asset=asset)
    with apprise.LogCapture(level=logging.DEBUG, fmt="%(levelname)s\t%(message)s") as log:
        if not service.add(address):
            text = tr("{name} holds no address that apprise understands", name=message["variable"])
            return _failed(text, final=True)
        sent = service.notify(
            title=uncalled(printable(message["subject"])),
            body=uncalled(message["body"]),
            notify_type=TYPES[message["severity"]],
            body_format=apprise.NotifyFormat.TEXT,
        )
        said = _reasons(log.getvalue())
    if sent:
        return {"problem": "", "final": False}
    return _failed(_safe(said, address) or tr("apprise could not send it"), final=False)


def _reasons(log: str) -> str:
    """What apprise says of a failure: its warnings, which are few words, and the errors that it keeps for its debug
    log: "Connection refused", or that the server takes no password."""
    reasons = []
    for line in log.splitlines():
        level, _, text = line.partition("\t")
        if level in ("WARNING", "ERROR", "CRITICAL"):
            reasons.append(text.removesuffix("."))
        elif level == "DEBUG" and text.startswith(CAUSE):  # the end of a chain of errors says most
            reasons.append(text.removeprefix(CAUSE).rpartition("): ")[2].removesuffix('"))').removesuffix("."))
    return "\n".join(dict.fromkeys(reasons))


def _failed(problem: str, *, final: bool) -> dict[str, Any]:
    """The answer: its reader chooses the language."""
    return {"problem": record_of(problem), "final": final}


def _safe(text: str, address: str) -> str:
    """What apprise or a plugin said, in one line, without any part of the address."""
    lines = without(text, (address,), whole=True).split("\n")
    return printable("; ".join(filter(None, lines)))[:PROBLEM]
