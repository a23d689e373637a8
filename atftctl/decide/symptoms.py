"""Which symptom is meant."""

from __future__ import annotations

from atftctl.decide.verdicts.crash_cause import symptom_of_event
from atftctl.domain.errors import UsageError
from atftctl.domain.facts import Facts
from atftctl.domain.runbook import Runbook, Symptom
from atftctl.domain.text import nearest


def find_symptom(runbook: Runbook, word: str) -> tuple[str, Symptom]:
    """By name, alias, or title in either language."""
    wanted = word.strip().casefold()
    names: list[str] = []
    for name, symptom in runbook.symptoms.items():
        words = (name, *symptom.aliases, symptom.title.en, symptom.title.ja)
        if wanted in (one.casefold() for one in words):
            return name, symptom
        names += words
    close = nearest(word, names)
    then = close if close.startswith("did") else f"known: {', '.join(runbook.symptoms)}"
    raise UsageError(f"unknown symptom {word!r}", hint=then)


def symptom_of(runbook: Runbook, facts: Facts) -> str:
    """What the trainer's own last word says. Raises UsageError where it says nothing."""
    name = symptom_of_event(runbook, facts.process.last_event)
    if not name:
        known = ", ".join(runbook.symptoms)
        raise UsageError("which symptom? The trainer left no word of one", hint=f"--symptom: {known}")
    return name
