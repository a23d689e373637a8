"""What a watcher says: a line for each thing that changes, and one a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

from atftctl.decide.diagnosis import causes
from atftctl.domain.facts import Process
from atftctl.domain.process_state import STATE_TEXTS
from atftctl.domain.record import record
from atftctl.domain.result import Data
from atftctl.domain.watching import Look
from atftctl.observe.configs import read_configs
from atftctl.operations.monitoring.diagnose import confidence_word
from atftctl.operations.project import Project
from atftctl.operations.report.log_query import iso
from atftctl.protocol import Exit
from atftctl.protocol.messages import Message, joined, tr

STATUS_S = 60.0
Verdict = Literal["healthy", "fault", "inconclusive"]
Kind = Literal["trainer", "alarm", "alarm-ended", "verdict", "blind", "sees", "action", "note", "status"]


@record
class WatchLine(Data):
    """One line of `watch`; with --json one object.

    time: when (ISO 8601). kind: `trainer`, it was started, or its state is another one; `alarm`, an alarm of a detector
    begins; `alarm-ended`; `verdict`, it is another one; `blind`, the watcher can't see; `sees`, it sees again;
    `action`, what was done or would have been; `note`, of the watcher itself; `status`, once a minute. text: for
    people. verdict: `healthy`, `fault` or `inconclusive`. symptom: of the runbook, or null. command: the command that
    helps, or null. detector: whose alarm, or null. generation: of the trainer. step: its newest one.
    """

    time: str
    kind: Kind
    text: str
    verdict: Verdict
    symptom: str | None
    command: str | None
    detector: str | None
    generation: int
    step: int


def verdict_of(look: Look) -> Verdict:
    """The verdict of a look. A watcher that can't see has none."""
    if not look.sees:
        return "inconclusive"
    return "healthy" if look.diagnosis.healthy else "fault" if look.diagnosis.is_sure else "inconclusive"


def exit_code(verdict: Verdict) -> Exit:
    """The exit code that says this verdict."""
    return {"healthy": Exit.DONE, "fault": Exit.CHECK_FAILED, "inconclusive": Exit.INCONCLUSIVE}[verdict]


class Teller:
    """Says what has changed from one look to the next."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._before: Look | None = None
        self._verdict: tuple[str, ...] = ()
        self._commands: dict[tuple[str, int], str] = {}  # by cause and generation
        self._told = time.monotonic()

    def lines(self, look: Look) -> tuple[WatchLine, ...]:
        """What has changed since the look before; the status where it was not said for a minute."""
        lines = tuple(self._lines(look))
        if time.monotonic() - self._told >= STATUS_S:
            self._told = time.monotonic()
            lines += (self.line(look, "status", status_text(look)),)
        self._before = look
        return lines

    def line(self, look: Look, kind: Kind, text: str, detector: str | None = None) -> WatchLine:
        """One line about a look."""
        verdict = verdict_of(look)
        symptom, command = self._remedy(look) if verdict == "fault" and kind == "verdict" else (None, None)
        return WatchLine(
            iso(look.now) or "", kind, text, verdict, symptom, command, detector, look.generation, look.step
        )

    def _lines(self, look: Look) -> Iterator[WatchLine]:
        before = self._before
        same = before is not None and before.generation == look.generation
        if before is None or not same or _trainer(before) != _trainer(look):
            yield self.line(look, "trainer", trainer_text(look.process))
        for finding in look.findings:
            yield self.line(look, "alarm", tr("alarm: {text}", text=finding.text), finding.detector)
        ended = set(before.active) - set(look.active) if before and same else set()
        for detector in sorted(ended):
            text = tr("the alarm has ended: {detector} at step {step}", detector=detector, step=look.step)
            yield self.line(look, "alarm-ended", text, detector)
        if look.blind and (before is None or not before.blind):
            yield self.line(look, "blind", tr("can't see: {reason}", reason=look.blind))
        elif before and before.blind and not look.blind:
            yield self.line(look, "sees", tr("sees the trainer"))
        yield from self._verdict_line(look)

    def _verdict_line(self, look: Look) -> Iterator[WatchLine]:
        main = look.diagnosis.main
        verdict = (verdict_of(look), *((main.cause, main.confidence) if main else ()))
        if verdict != self._verdict and not look.blind:
            self._verdict = verdict
            yield self.line(look, "verdict", self.verdict_text(look))

    def verdict_text(self, look: Look) -> Message:
        """The verdict in one line, with the command that helps."""
        verdict, main = verdict_of(look), look.diagnosis.main
        if look.blind:
            return tr("can't tell: {reason}", reason=look.blind)
        if verdict == "healthy":
            return tr("healthy")
        book, language = self._project.runbook, self._project.language
        if main is not None:
            name = causes.symptom_of(book, main.cause) or main.cause
            title = causes.title_of(book, main.cause, language)
            if verdict == "inconclusive":
                return tr("can't tell: {title} is possible", title=title)
            word, command = confidence_word(main.confidence), self._remedy(look)[1]
            return tr(
                "{name}: {title} ({confidence}); run: {command}",
                name=name, title=title, confidence=word, command=command,
            )  # fmt: skip
        return tr("can't tell: {reason}", reason=(*look.diagnosis.unknown, "?")[0])

    def _remedy(self, look: Look) -> tuple[str | None, str | None]:
        """(the symptom of the surest cause, the command that helps). The configs are read once for each run."""
        if look.diagnosis.main is None:
            return None, None
        book, cause = self._project.runbook, look.diagnosis.main.cause
        if (cause, look.generation) not in self._commands:
            configs = read_configs(self._project.layout.root, book.files)
            self._commands[cause, look.generation] = causes.command_of(book, configs, cause)[0]
        return causes.symptom_of(book, cause) or None, self._commands[cause, look.generation]


def _trainer(look: Look) -> tuple[str, int | None]:
    return look.process.state, look.process.pid


def trainer_text(process: Process) -> Message:
    """The state of the trainer."""
    parts = [tr("trainer {state}", state=STATE_TEXTS[process.state])]
    if process.pid:
        parts.append(process.name)
    if process.generation:
        parts.append(tr("generation {number}", number=process.generation))
    return joined(", ", parts)


def status_text(look: Look) -> Message:
    """How the training goes, in one line."""
    words = {"healthy": tr("healthy"), "fault": tr("fault"), "inconclusive": tr("can't tell")}
    parts = [
        words[verdict_of(look)],
        tr("trainer {state}", state=STATE_TEXTS[look.process.state]),
        tr("step {step}", step=look.step),
    ]
    if look.process.section not in ("", "step"):
        parts.append(tr("section {section}", section=look.process.section))
    if look.active:
        parts.append(tr("alarms: {names}", names=", ".join(look.active)))
    if look.blind:
        parts.append(tr("can't see: {reason}", reason=look.blind))
    return joined(", ", parts)
