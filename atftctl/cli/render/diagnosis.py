"""A diagnosis: the cause with what speaks for it and against it, the command, other causes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from atftctl.cli.render.console import FAIL, OK, UNKNOWN, WARN, Tone, mark_column, say, say_marked
from atftctl.cli.render.layout import display_width, pad
from atftctl.cli.render.result import contacts, tone_of
from atftctl.cli.render.translation import localize
from atftctl.domain.result import Result
from atftctl.protocol.messages import Message, tr

if TYPE_CHECKING:
    from atftctl.operations.monitoring.diagnosis_data import Cause, DiagnoseData, Sign

SOURCES = {
    "events": tr("events"),
    "process": tr("process"),
    "metrics": tr("metrics"),
    "logs": tr("logs"),
    "kernel": tr("kernel"),
    "checkpoints": tr("checkpoints"),
}
STRENGTHS: dict[str, tuple[str, Tone]] = {
    "proof": (FAIL, "bad"),
    "strong": (FAIL, "bad"),
    "weak": (WARN, "warn"),
    "against": (OK, "good"),
    "note": ("-", "quiet"),
}
SHOWN = 3  # other causes


def diagnosis(result: Result) -> None:
    """The cause and its evidence; what speaks for another one; what is not known; the command."""
    from atftctl.operations.monitoring.diagnosis_data import DiagnoseData

    data = result.data
    assert isinstance(data, DiagnoseData)
    _show(result, data)


def watched(result: Result) -> None:
    """What one look of a watcher saw, as a diagnosis."""
    from atftctl.operations.monitoring.watch import WatchData

    data = result.data
    assert isinstance(data, WatchData)
    if data.diagnosis is not None:
        _show(result, data.diagnosis)
    else:
        say(result.headline, tone_of(result.exit_code))
    for alarm in result.lines:
        say_marked(WARN, alarm, "warn")


def _show(result: Result, data: DiagnoseData) -> None:
    say(result.headline, tone_of(result.exit_code))
    if data.cause:
        _evidence(data.cause)
    for cause in data.others[:SHOWN]:
        say(
            tr("also possible: {title} ({confidence})", title=cause.title, confidence=WORDS[cause.confidence]),
            lead="  ",
        )
        _signs(cause.evidence)
    for sign in data.notes:
        _sign(sign)
    for text in data.unknown[0 if data.cause else 1 :] if data.verdict == "inconclusive" else ():  # the headline has it
        say(text, "warn", lead=mark_column(UNKNOWN))
    for text in data.unseen:
        say(tr("not seen: {text}", text=text), "quiet", lead=mark_column("-"))
    for text in _next(data):
        say(text, "strong", lead="  ", hang=4)
    contacts(result.contacts)


def _next(data: DiagnoseData) -> list[Message | str]:
    """The advice, and the command to run."""
    cause = data.cause
    if cause is None:
        text = tr("next: see what it wrote last: atftctl logs; to start it again: atftctl trainer start")
        return [text] if data.state == "died" else []
    lines = list[Message | str]([cause.advice] if cause.advice else [])
    return lines if cause.command in (cause.advice or "") else [*lines, tr("next: {hint}", hint=cause.command)]


WORDS: dict[str, Message] = {"certain": tr("certain"), "likely": tr("likely"), "possible": tr("possible")}


def _evidence(cause: Cause) -> None:
    _signs((*cause.evidence, *cause.against))


def _signs(signs: Sequence[Sign]) -> None:
    for sign in signs:
        _sign(sign)


def _sign(sign: Sign) -> None:
    """One sign: a mark for how it counts, where it was seen, and what."""
    mark, tone = STRENGTHS[sign.strength]
    width = max(display_width(localize(name)) for name in SOURCES.values())
    say(sign.text, tone, lead=f"{mark_column(mark)}{pad(localize(SOURCES[sign.source]), width)}  ")
