"""How long signals have stood: on how many evaluations of the trainer running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from atftctl.decide.acting.signals import Signals
from atftctl.domain.acting import Memory, Standing
from atftctl.domain.watching import Look

NEEDED = 2  # evaluations running


def after(memory: Memory, look: Look, signals: Sequence[Signals]) -> Memory:
    """The memory with what this look adds. A blind look adds nothing, and takes nothing away. A signal that stands when
    an evaluation has ended stood on it; evaluations between two looks count as one. A new generation begins anew."""
    if not look.sees or not look.generation:
        return memory
    same = memory.generation == look.generation
    known = memory.standing if same else {}
    ended = same and look.evaluations > memory.evaluations
    standing = {each.symptom: _next(known.get(each.symptom), look, ended=ended) for each in signals if each.strong}
    return replace(memory, generation=look.generation, evaluations=look.evaluations, standing=standing)


def _next(before: Standing | None, look: Look, *, ended: bool) -> Standing:
    seen = before.seen if before else 0
    return Standing(look.generation, look.evaluations, seen + ended)


def differs(one: Memory, other: Memory) -> bool:
    """Has what stands changed, so that it must be written?"""
    return _plain(one.standing) != _plain(other.standing) or (one.generation, one.evaluations) != (
        other.generation, other.evaluations
    )  # fmt: skip


def stands(memory: Memory, symptom: str) -> bool:
    """Did the signal of this symptom stand on enough evaluations running?"""
    standing = memory.standing.get(symptom)
    return standing is not None and standing.seen >= NEEDED


def _plain(standing: Mapping[str, Standing]) -> dict[str, dict[str, object]]:
    return {symptom: dict(vars(each)) for symptom, each in standing.items()}
