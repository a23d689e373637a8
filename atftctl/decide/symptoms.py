"""Find the symptom of the runbook that a command means."""

from __future__ import annotations

from atftctl.decide.verdicts.crash_cause import symptom_of_event
from atftctl.domain import missing_parts
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import Facts
from atftctl.domain.runbook import Runbook, Symptom
from atftctl.domain.text import nearest
from atftctl.protocol.messages import tr


def find_symptom(runbook: Runbook, word: str) -> tuple[str, Symptom]:
    """Find a symptom by name, alias, or title in any language. Raises UsageError where there is none, Refused where the
    runbook has no symptoms."""
    if not runbook.symptoms:
        raise missing_parts.symptoms(runbook)
    wanted = word.strip().casefold()
    names: list[str] = []
    for name, symptom in runbook.symptoms.items():
        labels = (name, *symptom.aliases, symptom.title.en, symptom.title.ja)
        if wanted in (label.casefold() for label in labels):
            return name, symptom
        names += labels
    close = nearest(word, names)
    known = tr("known symptoms: {symptoms}", symptoms=", ".join(runbook.symptoms))
    raise UsageError(tr("unknown symptom {name!r}", name=word), hint=close if close.startswith("did") else known)


def symptom_of(runbook: Runbook, facts: Facts) -> str:
    """Find the symptom of the trainer's last event. Raises as `find_symptom`."""
    if not runbook.symptoms:
        raise missing_parts.symptoms(runbook)
    name = symptom_of_event(runbook, facts.process.last_event)
    if not name:
        raise UsageError(
            tr("no symptom was named, and the trainer's last event shows none"),
            hint=tr("--symptom NAME, where NAME is one of: {symptoms}", symptoms=", ".join(runbook.symptoms)),
        )
    return name
