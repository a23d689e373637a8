"""What the trainer's events and its process speak for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atftctl import protocol
from atftctl.decide.detectors import leak
from atftctl.decide.verdicts.crash_cause import cause as cause_text
from atftctl.domain.diagnosis import Evidence, Observed, Strength
from atftctl.domain.facts import EXITED
from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.meaning import Meanings
from atftctl.protocol import TrainerExit
from atftctl.protocol.messages import tr

# By exit code of the trainer: the cause, and how strongly it speaks for it. What it was asked for is no fault.
EXITS: Mapping[int, tuple[str, Strength]] = {
    TrainerExit.CRASHED: ("code", "weak"),
    TrainerExit.BAD_SETTINGS: ("settings", "proof"),
    TrainerExit.OUT_OF_MEMORY: ("out-of-memory", "proof"),
    TrainerExit.ANOMALY: ("anomaly", "proof"),
    TrainerExit.BAD_DATA: ("data", "proof"),
    TrainerExit.BAD_CHECKPOINT: ("checkpoint", "proof"),
    TrainerExit.SAVE_FAILED: ("save", "proof"),
    TrainerExit.WORKER_LOST: ("worker-lost", "weak"),
    TrainerExit.FENCED: ("fenced", "proof"),
}
EVENTS: Mapping[str, tuple[str, Strength]] = {
    protocol.OOM: ("out-of-memory", "proof"),
    protocol.ANOMALY: ("anomaly", "proof"),
    protocol.SAVE_FAILED: ("save", "strong"),
    protocol.WORKER_LOST: ("worker-lost", "weak"),
    protocol.FENCED: ("fenced", "proof"),
}
# A save that fails is none: the trainer goes on, or says why it stopped.
FINAL = {protocol.STOPPED, protocol.OOM, protocol.ANOMALY, protocol.WORKER_LOST, protocol.FENCED}
NEAR = 0.6  # of the memory limit, which also counts what is only reserved: it is reached with less in use
ASKED = (TrainerExit.FINISHED, TrainerExit.STOPPED)


def evidence(seen: Observed, matcher: Matcher) -> list[Evidence]:
    """The evidence of the events and of the process. matcher: for the causes that messages name."""
    meanings = Meanings(matcher.patterns)
    signs = [sign for event in seen.events if (sign := _of_event(event, seen, matcher, meanings))]
    return [*_distinct(signs), *_of_process(seen), *_earlier(seen)]


def _of_event(event: Mapping[str, Any], seen: Observed, matcher: Matcher, meanings: Meanings) -> Evidence | None:
    name, time = event["event"], float(event["t"])
    if name == protocol.RECOVERED or (name == protocol.OOM and event.get("recoverable")):
        text = tr("the trainer recovered by itself: {message}", message=str(event.get("message", name))[:120])
        return Evidence("events", "note", "", text, time)
    if name == protocol.SAVE_FAILED and _was_saved_since(event, seen):
        text = tr("{cause}; it was saved later", cause=cause_text(event))
        return Evidence("events", "note", "", text, time)
    cause, strength = EVENTS.get(name, ("", "note"))
    if name == protocol.STOPPED:
        code = event.get("exit_code")
        cause, strength = EXITS.get(code, ("", "note")) if isinstance(code, int) else ("", "note")
    if not cause:
        return None
    message = str(event.get("message", event.get("reason", "")))
    if cause in ("code", "save") and (named := _named(message, matcher, meanings)):
        cause, strength = named, "strong" if strength == "weak" else strength
    if seen.process.alive and strength != "note":  # the trainer went on after it
        strength = "weak" if name == protocol.SAVE_FAILED else "strong" if strength == "proof" else strength
    return Evidence("events", strength, cause, cause_text(event), time)


def _was_saved_since(failed: Mapping[str, Any], seen: Observed) -> bool:
    """Did a later save of the same file succeed?"""
    later = seen.events[next(at for at, event in enumerate(seen.events) if event is failed) + 1 :]
    path = failed.get("path")
    return any(event["event"] == protocol.CHECKPOINT and event.get("path") == path for event in later)


def _named(message: str, matcher: Matcher, meanings: Meanings) -> str:
    """The root cause that the message of an event names; "" where it names none."""
    number = matcher.kind(message[:1000])
    kind = meanings.of(matcher.patterns[number].name, message[:1000]) if number is not None else None
    if kind and kind.symptom == "exception":
        return ""
    return (kind.symptom or kind.name) if kind and kind.role == "root-cause" and kind.name != "exception" else ""


def _distinct(signs: list[Evidence]) -> list[Evidence]:
    """One sign for each cause, the surest: a fault and the end that follows it are the same sign."""
    order = ("proof", "strong", "weak", "against", "note")
    best: dict[str, Evidence] = {}
    notes = [sign for sign in signs if not sign.cause][-3:]
    for sign in signs:
        if sign.cause and (
            sign.cause not in best or order.index(sign.strength) < order.index(best[sign.cause].strength)
        ):
            best[sign.cause] = sign
    return [*best.values(), *notes]


def _of_process(seen: Observed) -> list[Evidence]:
    process = seen.process
    if process.silent_s is not None:
        section = process.section or "?"
        text = tr("no sign of life for {seconds:.0f} s in section {section}", seconds=process.silent_s, section=section)
        return [Evidence("process", "strong", "hang", text)]
    if process.state == "died" and not has_final_event(seen):
        return [Evidence("process", "note", "", cause_text(process.last_event or {}))]
    if process.alive and process.section:
        text = tr(
            "the trainer is alive: section {section}, step {step}", section=process.section, step=process.step or 0
        )
        return [Evidence("process", "against", "hang", text)]
    return []


def near_limit(seen: Observed, active: Sequence[str], limit_mb: int) -> list[Evidence]:
    """Memory that grows, by the metrics, and has nearly reached its limit, by the kernel's count of the process. A
    trainer that fits its limit closely, and does not grow, is no leak. limit_mb: 0 for none."""
    used = seen.process.memory_mb
    if leak.NAME not in active or used is None or used < NEAR * limit_mb or not limit_mb:
        return []
    text = tr("the process holds {used:,.0f} MB of at most {limit:,} MB", used=used, limit=limit_mb)
    return [Evidence("process", "strong", "leak", text)]


def has_final_event(seen: Observed) -> bool:
    """Did the trainer say itself why it ended?"""
    names = {event["event"] for event in seen.events if not event.get("recoverable")}
    return bool(names & FINAL)


def died(seen: Observed) -> bool:
    """Did the trainer end by a fault? What was seen in a run that finished, or was stopped on purpose, it survived."""
    return seen.process.state == "died" or (bool(codes := _exit_codes(seen)) and codes[-1] not in ASKED)


def ended_as_asked(seen: Observed) -> bool:
    """Did the trainer finish, or end because it was asked to?"""
    last = seen.process.last_event or {}
    if last.get("event") == EXITED:  # of a program that knows no exit codes of ours, 0 alone means that it has finished
        return last.get("exit_code") == 0
    return bool(codes := _exit_codes(seen)) and codes[-1] in ASKED


def _exit_codes(seen: Observed) -> list[int]:
    codes = (event.get("exit_code") for event in seen.events if event["event"] == protocol.STOPPED)
    return [code for code in codes if type(code) is int]


def _earlier(seen: Observed) -> list[Evidence]:
    """How runs ended that came before, where somebody asks for that time."""
    return [
        Evidence("events", "note", "", tr("an earlier run ended: {cause}", cause=cause_text(event)), float(event["t"]))
        for event in seen.earlier[-5:]
    ]
