"""The page of an incident: what it is made from, and its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from atftctl.domain.record import record
from atftctl.domain.run_rows import Row

# What happened at a moment: a sign of the fault, a decision, part of the change, the proof, or something after it.
Kind = Literal["sign", "decision", "change", "proof", "later"]


@record
class Moment:
    """One line of the timeline. `at`: Unix seconds. `about`: the time is reckoned from durations, not recorded."""

    at: float
    kind: Kind
    text: str
    about: bool = False


@record
class Recorded:
    """One line of the history, with values of the wrong type left out: it may be of another version of atftctl. Times
    are Unix seconds; None where they are not known."""

    id: str
    command: str
    title: str
    operator: str = ""
    reason: str = ""
    outcome: str = ""
    verdict: str = ""
    exit_code: int | None = None
    generation: int = 0
    started: float | None = None
    ended: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    first_step: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first_step_at(self) -> float | None:
        """The time of the first step after the change."""
        return seconds_of(self.first_step.get("t"))


@record
class Failed:
    """A checklist that failed. `at`: when (ISO 8601). `digests`: SHA-256 of the configs that it checked, by path.
    `checks`: (verdict, what was measured) of each check, by its name."""

    at: str
    digests: Mapping[str, str]
    checks: Mapping[str, tuple[str, str]]


@record
class Placed:
    """The rows of the metrics around an operation, steps rising on each side. `torn`: lines that were no rows. `cut`:
    there are more rows than were read. `kept`: the rows before come from the operation's evidence. `problem`: why rows
    are missing; "" where none are."""

    before: Sequence[Row] = ()
    after: Sequence[Row] = ()
    torn: int = 0
    cut: bool = False
    kept: bool = False
    problem: str = ""


@record
class Side:
    """One column on one side of an operation, in few points. `lines`: pieces of the curve, each of (step, value).
    `broken`: steps at which the value was not finite. `count`: all values. `bad`: those that are not finite."""

    lines: tuple[tuple[tuple[int, float], ...], ...] = ()
    broken: tuple[int, ...] = ()
    count: int = 0
    bad: int = 0
    last: float | None = None
    median: float | None = None
    least: float | None = None
    greatest: float | None = None


@record
class Cost:
    """What an operation cost. `steps`: training steps that were given up. `training_s`: the seconds of training that
    these took. `down_s`: seconds without training. `took_s`: seconds that the operation took. None where that is not
    known."""

    steps: int | None = None
    training_s: float | None = None
    down_s: float | None = None
    took_s: float | None = None


def recorded(entry: Mapping[str, Any]) -> Recorded:
    """One line of the history, whatever wrote it."""
    parts = _mapping(entry.get("parts"))
    code, generation = entry.get("exit_code"), entry.get("generation")
    texts = {
        name: str(entry.get(name) or "") for name in ("command", "title", "operator", "reason", "outcome", "verdict")
    }
    return Recorded(
        id=str(entry["operation"]),
        **texts,
        exit_code=code if type(code) is int else None,
        generation=generation if type(generation) is int and generation > 0 else 0,
        started=_moment(entry.get("started")),
        ended=_moment(entry.get("ended")),
        parts={str(name): seconds for name, value in parts.items() if (seconds := _duration(value)) is not None},
        first_step=_mapping(entry.get("first_step")),
        about=_mapping(entry.get("about")),
    )


def seconds_of(value: object) -> float | None:
    """A time in Unix seconds; None for anything else."""
    if type(value) not in (int, float) or not 0 < value < 1e11:  # type: ignore[operator]
        return None
    return float(value)  # type: ignore[arg-type]


def step_of(value: object) -> int | None:
    """A training step; None for anything else."""
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def _duration(value: object) -> float | None:
    is_number = type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    return float(value) if is_number and 0 <= value < 1e9 else None  # type: ignore[arg-type, operator]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _moment(value: object) -> float | None:
    try:
        return seconds_of(datetime.fromisoformat(str(value)).timestamp())
    except (ValueError, OverflowError):
        return None
