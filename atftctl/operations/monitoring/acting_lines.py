"""What a watcher says about its decisions."""

from __future__ import annotations

from collections.abc import Iterator

from atftctl.domain.acting import OUTCOME_TEXTS, Act, Decision, Mode
from atftctl.domain.watching import Look
from atftctl.operations.monitoring.watch_lines import Teller, WatchLine
from atftctl.protocol.messages import Message, tr


class Speaker:
    """Says each decision once, as long as it stays the same."""

    def __init__(self, teller: Teller, mode: Mode) -> None:
        self._teller, self._mode = teller, mode
        self._said: tuple[str, ...] = ()

    def lines(self, look: Look, decision: Decision) -> tuple[WatchLine, ...]:
        """The lines about a decision."""
        lines = [self._teller.line(look, "action", outcome_text(act)) for act in decision.settled]
        said = (decision.kind, decision.symptom, getattr(decision.why, "template", "") or decision.why)
        if said != self._said and self._mode != "propose" and decision.kind != "idle":
            lines += [self._teller.line(look, "action", text) for text in _texts(decision)]
        self._said = said
        return tuple(lines)


def outcome_text(act: Act) -> Message:
    """What became of a rollback."""
    return tr("rollback {operation} for {symptom}: {outcome}",
              operation=act.operation or act.id, symptom=act.symptom, outcome=OUTCOME_TEXTS[act.outcome])  # fmt: skip


def _texts(decision: Decision) -> Iterator[str]:
    if decision.kind == "act":
        yield tr("rolled back for {symptom}: {reason}; to undo it: atftctl undo {operation}",
                 symptom=decision.symptom, reason=decision.why, operation=decision.operation)  # fmt: skip
    elif decision.kind == "page":
        yield tr("a person must look; the watcher acts no more: {reason}", reason=decision.why)
        yield from (tr("contact: {contact}", contact=contact) for contact in decision.contacts)
    elif decision.command:
        yield tr("{reason} ({command})", reason=decision.why, command=decision.command)
    else:
        yield decision.why
