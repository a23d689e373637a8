"""Naming what went wrong, from the trainer's own typed events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atftctl import protocol
from atftctl.decide.plans.setting_changes import changes
from atftctl.domain.facts import Facts
from atftctl.domain.runbook import Detector, Runbook

DETECTORS: Mapping[str, Detector] = {protocol.OOM: "out-of-memory", protocol.ANOMALY: "anomaly"}


def symptom_of_event(runbook: Runbook, event: Mapping[str, Any] | None) -> str:
    """The runbook's symptom for a fatal event of the trainer; "" where the event or the runbook names none."""
    return runbook.symptom_by(DETECTORS.get(str((event or {}).get("event")), ""))


def cause(event: Mapping[str, Any]) -> str:
    """Why it died, from its own last word; without one, only that nobody knows. A bare kill proves no out-of-memory."""
    if not event:
        return "it left no word: killed, or it never got to its first event; see logs/trainer.out"
    last = event.get("step")
    step = last if isinstance(last, int) else 0
    if event["event"] == protocol.OOM:
        return f"out of memory in step {step + 1}: {str(event.get('message', ''))[:110]}"
    if event["event"] == protocol.ANOMALY:
        return f"{event.get('quantity')} was {event.get('value')} in step {step + 1}"
    if event["event"] == "worker_lost":
        return f"one of its processes was lost after step {step}: {str(event.get('message', ''))[:110]}"
    if event["event"] == "save_failed":
        return f"{event.get('path')} could not be saved in step {step}: {str(event.get('message', ''))[:110]}"
    if event["event"] == "stopped":
        return f"it ended by itself: {str(event.get('reason', ''))[:200]} (exit {event.get('exit_code')})"
    return f"it left no word after {event['event']} in step {step}: killed from outside?"


def remedy(runbook: Runbook, facts: Facts) -> str:
    """The command for what the last event says; another word where its settings are in place already."""
    name = symptom_of_event(runbook, facts.process.last_event)
    symptom = runbook.symptoms.get(name)
    if any(config.error for config in facts.configs.values()):
        return ""  # of which there is more to say
    if symptom is None:
        return "next: atftctl trainer start"
    if changes(runbook, facts.configs, symptom.settings):
        return f"next: atftctl rollback --symptom {name}"
    if symptom.detector == "out-of-memory":
        return "its settings are in place already: raise trainer.memory_limit_mb, or train on fewer stocks"
    return "its settings are in place already; next: atftctl rollback --immediate"
