"""What a probe may answer: the schema of each part, and a reader that takes anything. docs/reference/probe.md shows it.

Every part and every key is optional. A value of the wrong kind counts as missing, and the reader knows why.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from atftctl.domain.pairing import KEYS
from atftctl.domain.record import record
from atftctl.protocol.messages import Message, joined, tr

HASH = re.compile(r"[0-9a-f]{64}")
SHOWN = 40  # characters of a wrong value


@record
class Kind:
    """A kind of value. `name`: for people. `read`: the value as it is used; None for a value of another kind."""

    name: Message
    read: Callable[[Any], Any]


def _number(value: Any) -> float | None:
    """A number, also one that is not finite; text that holds one counts, since JSON of other programs has such."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _finite(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _finite(value)
    return number if number is not None and number > 0 else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _path(value: Any) -> str | None:
    """A path relative to the project, in its shortest form."""
    if not isinstance(value, str) or not value or "\0" in value or value.startswith("/") or ".." in value.split("/"):
        return None
    return "/".join(part for part in value.split("/") if part not in ("", ".")) or None


def _facts(value: Any) -> dict[str, tuple[str, float]] | None:
    """Named numbers: a number, or an object with `value` and `title`. By name: (title, number)."""
    if not isinstance(value, Mapping):
        return None
    facts = {}
    for name, fact in value.items():
        number = _finite(fact.get("value") if isinstance(fact, Mapping) else fact)
        title = fact.get("title") if isinstance(fact, Mapping) else None
        if number is None:
            return None
        facts[str(name)] = (title if isinstance(title, str) and title else str(name), number)
    return facts


NUMBER = Kind(tr("a number"), _number)
POSITIVE = Kind(tr("a number above 0"), _positive)
COUNT = Kind(tr("a whole number of 0 or more"), _count)
TEXT = Kind(tr("a text"), lambda value: value if isinstance(value, str) else None)
PATH = Kind(tr("a path in the project"), _path)
FLAG = Kind(tr("true or false"), lambda value: value if isinstance(value, bool) else None)
OBJECT = Kind(tr("an object"), lambda value: value if isinstance(value, Mapping) else None)
LIST = Kind(tr("a list"), lambda value: value if isinstance(value, list) else None)
SHA256 = Kind(
    tr("a SHA-256 of 64 hex digits"), lambda value: value if TEXT.read(value) and HASH.fullmatch(value) else None
)
VERSION = Kind(tr("a number or a text"), lambda value: value if isinstance(value, int | float | str) else None)
FACTS = Kind(tr("an object of numbers"), _facts)

SCHEMA: Mapping[str, Mapping[str, Kind]] = {
    "dataset": {"samples": COUNT, "facts": FACTS, "digest": TEXT},
    "model": {
        "path": PATH, "sha256": SHA256, "parameters": COUNT, "step": COUNT, "crc": FLAG, "finite": FLAG,
    },
    "quality": {
        "by_date": OBJECT, "by_example": OBJECT, "values": LIST, "mean": NUMBER, "identity": OBJECT,
        "evaluated": LIST, "horizon": COUNT, "weights": TEXT, "predictions": TEXT, "facts": FACTS,
    },
    "training": {
        "steps": COUNT, "loss": NUMBER, "grad_norm": NUMBER, "fresh": FLAG, "memory_mb": POSITIVE,
        "data_mb": POSITIVE, "card_mb": POSITIVE, "device": TEXT, "version": VERSION,
    },
    "steps": {
        "step_s": POSITIVE, "step_s_ratio": NUMBER, "step_s_ratio_lower": NUMBER, "step_s_steps": COUNT,
        "seconds": LIST, "baseline_step_s": POSITIVE, "baseline_error": TEXT, "version": VERSION,
    },
}  # fmt: skip
SEE = tr("what a probe may answer: docs/reference/probe.md")


@record
class Answer:
    """What a probe, or the metrics of a run (`of_run`), tell of one part. `values`: those that can be used, by key;
    also keys that are not of the schema. `problems`: by key, why a value can't be used. `log`: the end of its log."""

    part: str
    values: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, Message] = field(default_factory=dict)

    @property
    def of_run(self) -> bool:
        """Was it read from the metrics of the run, not measured by a probe?"""
        return self.values.get("source") == "metrics"

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; `default` where it is missing or of the wrong kind."""
        return self.values.get(key, default)

    def lacks(self, *keys: str) -> Message | None:
        """Say which of these keys are missing or wrong; None where all are there."""
        texts = [self.problems.get(key) or self._missing(key) for key in keys if self.values.get(key) is None]
        return joined("; ", texts) if texts else None

    def _missing(self, key: str) -> Message:
        if self.of_run:
            return tr("the metrics of the run do not tell it")
        unknown = [name for name in self.values if name not in SCHEMA.get(self.part, {})]
        close = difflib.get_close_matches(key, unknown, n=1, cutoff=0.5)
        if close:
            return tr(
                "the probe's answer for {part} has no {key}, but {close}", part=self.part, key=key, close=close[0]
            )
        return tr("the probe's answer for {part} has no {key}", part=self.part, key=key)


def read(part: str, answer: Any) -> Answer:
    """Read what was answered for a part; anything may be in it."""
    if not isinstance(answer, Mapping):
        return Answer(part, {}, {})
    known = SCHEMA.get(part, {})
    values: dict[str, Any] = {str(key): value for key, value in answer.items() if key not in known}
    problems: dict[str, Message] = {}
    for key, kind in known.items():
        if (given := answer.get(key)) is None:
            continue
        value = kind.read(given)
        if value is None:
            problems[key] = tr(
                "the probe's answer for {part}: {key} is not {kind}: {value}",
                part=part,
                key=key,
                kind=kind.name,
                value=_shown(given),
            )
        else:
            values[key] = value
    return Answer(part, values, problems)


def _shown(value: Any) -> str:
    """The beginning of a value, of any kind and length, in one line."""
    if isinstance(value, Mapping):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 63:
        return tr("a number of {bits} bits", bits=value.bit_length())
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def has_values(answer: Answer) -> bool:
    """Are there values of quality that can be compared?"""
    return any(answer.get(key) for key in KEYS.values())
