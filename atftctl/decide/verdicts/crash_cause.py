"""Say why a trainer died, and which command helps, by its last event."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from atftctl import protocol
from atftctl.decide.plans.setting_changes import changes
from atftctl.domain.facts import EXITED, ConfigFile, Facts
from atftctl.domain.runbook import Detector, Runbook
from atftctl.protocol.messages import Message, joined, tr

DETECTORS: Mapping[str, Detector] = {protocol.OOM: "out-of-memory", protocol.ANOMALY: "anomaly"}


def _others_on_the_card(event: Mapping[str, Any]) -> str:
    """Which other processes hold memory of the graphics card, by the event of the trainer; empty where none is known.
    On a shared card they may be the cause."""
    card = event.get("card")
    holders = card.get("holders") if isinstance(card, dict) else None
    known = [
        tr("pid {pid} ({mb:,} MB)", pid=holder["pid"], mb=holder["mb"])
        for holder in (holders if isinstance(holders, list) else [])
        if isinstance(holder, dict) and type(holder.get("pid")) is int and type(holder.get("mb")) is int
    ]
    if not known:
        return ""
    return tr("other processes hold memory of the graphics card: {holders}", holders=joined(", ", known[:3]))


def symptom_of_event(runbook: Runbook, event: Mapping[str, Any] | None) -> str:
    """Return the runbook's symptom for the trainer's last event; empty where the event or the runbook names none."""
    return runbook.symptom_by(DETECTORS.get(str((event or {}).get("event")), ""))


def exit_text(code: int) -> str:
    """How a process ended, by its exit code, or the negative number of the signal that killed it."""
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = ""
    if code < 0:
        return tr("it was killed by signal {number} ({name})", number=number, name=name or "?")
    if name:  # as a shell and torchrun report it
        return tr("it ended with exit code {code}, which stands for signal {name}", code=code, name=name)
    return tr("it ended with exit code {code}", code=code)


def cause(event: Mapping[str, Any]) -> str:
    """Say why the trainer died, by its last event. Without a final event that is not known: a trainer that was killed
    may have been out of memory, or not."""
    if event.get("event") in (None, EXITED):
        return _unexplained(event)
    last = event.get("step")
    step = last if isinstance(last, int) else 0
    message = str(event.get("message", ""))[:110]
    match event["event"]:
        case protocol.OOM:
            cause = tr("out of memory in step {step}: {message}", step=step + 1, message=message)
            return joined("; ", filter(None, [cause, _others_on_the_card(event)]))
        case protocol.ANOMALY:
            quantity, value = event.get("quantity"), event.get("value")
            return tr("{quantity} was {value} in step {step}", quantity=quantity, value=value, step=step + 1)
        case protocol.WORKER_LOST:
            return tr("a process of the trainer was lost after step {step}: {message}", step=step, message=message)
        case protocol.FENCED:
            return tr("the trainer ended by itself in step {step}: {message}", step=step, message=message)
        case protocol.SAVE_FAILED:
            path = event.get("path")
            return tr("{path} could not be saved in step {step}: {message}", path=path, step=step, message=message)
        case protocol.STOPPED:
            reason, code = str(event.get("reason", ""))[:200], event.get("exit_code")
            return tr("the trainer ended by itself: {reason} (exit code {code})", reason=reason, code=code)
    return tr(
        "the trainer was killed (no final event; the last: {event} in step {step})", event=event["event"], step=step
    )


def _unexplained(event: Mapping[str, Any]) -> str:
    """How a trainer ended that said nothing. `event`: with its exit code; empty where that is not known."""
    if not event:
        return tr("the trainer was killed, or failed before its first event; see its output: atftctl logs")
    end = exit_text(int(event["exit_code"]))
    return tr("the trainer wrote no event that says why it ended; {end}; see its output: atftctl logs", end=end)


def remedy(runbook: Runbook, facts: Facts) -> str:
    """Name the command that helps after the trainer's last event, or what to do where its settings are already set.

    Empty where a config can't be read, which is shown instead.
    """
    name = symptom_of_event(runbook, facts.process.last_event)
    if any(config.error for config in facts.configs.values()):
        return ""
    if name not in runbook.symptoms and (facts.process.last_event or {}).get("event") == protocol.FENCED:
        return tr("find out who started the newer trainer: atftctl history; next: atftctl trainer start")
    return remedy_of_symptom(runbook, facts.configs, name) or tr("next: atftctl trainer start")


def remedy_of_symptom(runbook: Runbook, configs: Mapping[str, ConfigFile], name: str) -> Message | str:
    """Name the command that helps with a symptom, or what to do where its settings are already set; "" where the
    runbook has no such symptom."""
    symptom = runbook.symptoms.get(name)
    if symptom is None:
        return ""
    if changes(runbook, configs, symptom.settings):
        return tr("next: atftctl rollback --symptom {symptom}", symptom=name)
    if symptom.detector == "out-of-memory":
        return tr(
            "the settings of {symptom} are in place already: raise trainer.memory_limit_mb in the runbook, or train on "
            "less data",
            symptom=name,
        )
    return tr("the settings of {symptom} are in place already; next: atftctl rollback --immediate", symptom=name)
