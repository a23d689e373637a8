"""Has the watcher earned to act by itself? By the false rollbacks that it would have done in healthy training."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from atftctl.decide.detectors import bank, slow
from atftctl.decide.diagnosis.replayed import upper_bound
from atftctl.domain.earned import Shown, Span
from atftctl.domain.runbook import Runbook

VERSION = 1  # of the detectors and of the rules of acting: raise it where one of them decides otherwise than before
STEPS = 30_000  # healthy ones that are needed at least
RATE = 1e-4  # false rollbacks in a step, at most
GAP = 2000  # steps between two looks: with more, the watcher was away


def policy_digest(runbook: Runbook) -> str:
    """A digest of everything that decides when the watcher acts: the columns, the thresholds, the limits of acting,
    what log lines and detectors speak for, and the version of the detectors. The curve of a baseline run is none of
    it: it is data, as the metrics are."""
    rules = bank.rules_of(runbook)
    symptoms = {name: symptom.detector for name, symptom in runbook.symptoms.items()}
    values = [VERSION, _plain(rules), _plain(runbook.acting), runbook.metrics.quality, symptoms, _plain(runbook.logs)]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, slow.Curve):
        return None
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return repr(value) if isinstance(value, float) else value


def faulty_generations(entries: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """The generations that somebody rolled back: their steps do not count as healthy."""
    faulty, newest = set[int](), 0
    for entry in entries:
        if entry.get("command") == "rollback" and entry.get("files"):
            faulty.add(newest)
        newest = max(newest, int(entry.get("generation", 0)))
    return frozenset(faulty)


def shown_by(spans: Iterable[Span], faulty: frozenset[int]) -> Shown:
    """What these spans show. A generation that was replayed and watched counts once: with the steps of the replay, and
    with the more false rollbacks."""
    counted: dict[int, dict[str, list[Span]]] = {}
    excluded = faulty | {span.generation for span in spans if span.faulty}
    for span in spans:
        if span.generation not in excluded:
            counted.setdefault(span.generation, {}).setdefault(span.how, []).append(span)
    steps = acts = 0
    for ways in counted.values():
        steps += sum(span.steps for span in ways.get("replay") or ways["shadow"])
        acts += max(sum(span.acts for span in way) for way in ways.values())
    return Shown(steps, acts, len(counted), upper_bound(acts, steps), missing(steps, acts))


def missing(steps: int, acts: int) -> int:
    """How many more healthy steps are needed, without another false rollback."""
    needed = STEPS
    while upper_bound(acts, needed) > RATE:
        needed = math.ceil(needed * 1.02)
    return max(0, needed - steps)


def added(spans: Sequence[Span], span: Span) -> tuple[Span, ...]:
    """The spans with one more of a replay. Of one that begins at the same step the longer one stays, with the more
    false rollbacks; one that overlaps another is a copy of its rows, and is left out."""
    for at, other in enumerate(spans):
        if (other.how, other.generation) != (span.how, span.generation):
            continue
        if other.first == span.first:
            longer = span if span.last >= other.last else other
            acts = max(span.acts, other.acts)
            merged = Span(longer.how, longer.generation, longer.first, longer.last, longer.steps, acts, longer.faulty)
            return (*spans[:at], merged, *spans[at + 1 :])
        if span.first <= other.last and other.first <= span.last:
            return tuple(spans)
    return (*spans, span)


def watched(before: Span | None, generation: int, step: int, *, acts: int = 0, faulty: bool = False) -> Span:
    """The span of a generation that a shadow watches, up to this step."""
    if before is None:
        return Span("shadow", generation, step, step, 0, acts, faulty)
    steps = step - before.last
    seen = steps if 0 < steps <= GAP else 0
    return Span(
        "shadow", generation, before.first, max(step, before.last), before.steps + seen, before.acts + acts,
        before.faulty or faulty,
    )  # fmt: skip
