"""The text of a message about an incident: what happened, what is true now, what to decide, and the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import unquote

from atftctl.domain.incident_events import Due, Event, Incident
from atftctl.domain.printable import shortened
from atftctl.domain.record import record
from atftctl.protocol.messages import joined, tr, trn

SHOWN = 8  # events, the newest
PAGE = 5  # operations on the page that a message names, the newest
LINE = 300  # characters of one of them
BREAK = "\u200b"
CALLS = re.compile(r"(?<![\w.+-])@(?=[\w&!])|\](?=\()|<(?=[!#])")
SHORTEST = 4  # characters of a part of an address that is taken for a secret
TOKEN = re.compile(r"(?=.*[0-9A-Z])(?=.*[A-Za-z])[\w.~+%-]{8,}")  # letters, with digits or capitals among them


@record
class Place:
    """Where the incident is. `service`: of the runbook. `folder`: of the project. `now`: what is true now, a line each.
    `contacts`: whom to ask."""

    service: str
    host: str
    folder: str
    now: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()


@record
class Text:
    """A message: its subject, and its lines, which can be translated."""

    subject: str
    lines: tuple[str, ...]


def compose(incident: Incident, due: Due, place: Place) -> Text:
    """The message about an incident as it is now."""
    subject = tr("{service}: {what} (incident {id})", service=place.service, what=_what(incident, due), id=incident.id)
    return Text(
        subject,
        (
            tr("What happened:"),
            *_happened(incident.events),
            "",
            tr("What is true now:"),
            *(joined("", ("  ", line)) for line in place.now),
            *([tr("  the incident has ended: verify passed")] if incident.ending == "verified" else []),
            *([tr("  the incident has ended: the trainer was stopped")] if incident.ending == "stopped" else []),
            "",
            tr("What to decide:"),
            *(joined("", ("  ", line)) for line in _decide(incident)),
            "",
            tr("The whole story: {command}", command=_story(incident)),
            tr("On {host}, in {folder}", host=place.host, folder=place.folder),
            *(tr("contact: {contact}", contact=contact) for contact in place.contacts),
        ),
    )


def _what(incident: Incident, due: Due) -> str:
    if due.kind == "end" or incident.ending:
        return tr("ended: verify passed") if incident.ending == "verified" else tr("ended: the trainer was stopped")
    newest = incident.told[-1] if incident.told else incident.events[-1]
    return newest.text


def _happened(events: Sequence[Event]) -> list[str]:
    lines = [_line(event) for event in events[-SHOWN:]]
    if hidden := len(events) - len(lines):
        lines.insert(0, trn("  {count} earlier event", "  {count} earlier events", hidden))
    return lines


def _line(event: Event) -> str:
    at = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")  # it may last for days
    return joined("  ", ("", at, event.text))


def _decide(incident: Incident) -> list[str]:
    """The question that the newest event asks, and the command that answers it."""
    if incident.ending == "verified":
        return [tr("nothing; to turn improvements on again: {command}", command="atftctl reenable --next")]
    if incident.ending == "stopped":
        return [tr("whether training goes on: {command}", command="atftctl trainer start")]
    newest = next((event for event in reversed(incident.told) if event.command), None)
    command = newest.command if newest else "atftctl status"
    if newest and newest.urgent:
        return [tr("a person must look at it: {command}", command=command)]
    return [tr("look, and decide whether to run: {command}", command=command)]


def _story(incident: Incident) -> str:
    """The command that shows what is known of this incident, also when later ones have come."""
    if operations := incident.operations[-PAGE:]:
        return f"atftctl incident {' '.join(map(shlex.quote, operations))} --html incident.html"
    return f"atftctl alert show {shlex.quote(incident.id)}" if incident.alerts else "atftctl status"


def without(text: str, secrets: Sequence[str], *, whole: bool = False) -> str:
    """The text without these addresses and what in them may be secret, in lines that hold no control characters.

    `whole`: without any part of the addresses, for texts of the program that uses them.
    """
    parts = {part for secret in secrets for part in (_parts(secret) if whole else _secret_parts(secret))}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    return "\n".join(shortened(line, LINE) for line in text.split("\n"))


def uncalled(text: str) -> str:
    """The text in which no name calls people, and no words hide a link: some services obey `@everyone` and
    `[words](link)` of any text. An invisible character breaks them; addresses of mail stay."""
    return CALLS.sub(lambda match: match[0][0] + BREAK, text)


def _parts(address: str) -> list[str]:
    """An address and its parts, as they are and as they were before they were quoted."""
    rest = address.partition("://")[2] or address
    parts = [address, *re.split("[/:@?&=,#;]", rest)]
    return [form for part in parts for form in {part, unquote(part)} if len(form) >= SHORTEST]


def _secret_parts(address: str) -> list[str]:
    """The password of an address, and every part that looks like a token: no word of a language, no name of a host."""
    login, at, _ = address.partition("://")[2].rpartition("@")
    password = login.partition(":")[2] if at else ""
    tokens = [part for part in _parts(address) if part == address or TOKEN.fullmatch(part)]
    return [*tokens, *(form for form in {password, unquote(password)} if len(form) >= SHORTEST)]
