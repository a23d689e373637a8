"""What a runbook leaves out and the rest of it tells: names in place of titles, the baseline of each feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from atftctl.domain.runbook import Immediate, Phase, Runbook, Settings, Symptom
from atftctl.domain.texts import Text


def with_defaults(runbook: Runbook, folder: str) -> Runbook:
    """The runbook with what follows from the rest of it. `folder`: the name of the project's folder."""
    return replace(
        runbook,
        service=runbook.service if runbook.service not in ("", "?") else folder,
        features={
            name: replace(feature, title=_or_name(feature.title, name)) for name, feature in runbook.features.items()
        },
        immediate=_immediate(runbook),
        symptoms={name: _symptom(name, symptom) for name, symptom in runbook.symptoms.items()},
        plans={name: tuple(map(_phase, phases)) for name, phases in runbook.plans.items()},
        reenable_plan=runbook.reenable_plan or next(iter(runbook.plans), ""),
    )


def _or_name(text: Text, name: str) -> Text:
    return text if text.say("en") else Text(name, name)


def _immediate(runbook: Runbook) -> Immediate:
    if runbook.immediate.settings:
        return runbook.immediate
    off: Settings = {name: feature.baseline for name, feature in runbook.features.items()}
    return replace(runbook.immediate, settings=off)


def _symptom(name: str, symptom: Symptom) -> Symptom:
    title = _or_name(symptom.title, name)
    return replace(symptom, title=title, cause=_or_name(symptom.cause, _listed(symptom.settings) or name))


def _phase(phase: Phase) -> Phase:
    return replace(phase, title=_or_name(phase.title, _listed(phase.settings)))


def _listed(settings: Mapping[str, object]) -> str:
    return ", ".join(settings)
