"""The runbook."""

from __future__ import annotations

from collections.abc import Mapping

from atftctl.cli.render.console import WARN, say, say_marked
from atftctl.cli.render.result import contacts
from atftctl.domain.result import Result
from atftctl.domain.text import value_text
from atftctl.protocol.messages import tr


def runbook(result: Result) -> None:
    """The symptoms with their settings, the plans with their phases, the contacts."""
    from atftctl.operations.runbook.show import RunbookData

    data = result.data
    assert isinstance(data, RunbookData)
    for line in result.lines:
        say_marked(WARN, line, "warn")
    say(result.headline, "strong")
    for name, symptom in data.symptoms.items():
        say(
            tr(
                "{name} — {title} ({cause}), {minutes} min, resume from {checkpoint}",
                name=name,
                title=symptom.title,
                cause=symptom.cause,
                minutes=symptom.minutes,
                checkpoint=symptom.resume,
            ),
            lead="  ",
            hang=4,
        )
        say(_settings(symptom.settings), "quiet", lead="      ")
    for name, phases in data.plans.items():
        say(tr("plan {name}", name=name), lead="  ")
        for number, phase in enumerate(phases, 1):
            say(f"{phase.title}: {_settings(phase.settings)}", lead=f"    {number}. ")
            say(tr("gate: {gate}", gate=phase.gate), "quiet", lead="       ", hang=9)
    contacts(data.contacts)


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key}: {value_text(value)}" for key, value in settings.items())
