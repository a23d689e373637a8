"""A train command that runs under `atftctl guard --pattern`: what guard makes of the program's output."""

from __future__ import annotations

from collections.abc import Sequence

from atftctl.decide.adoption.measures import loss_of
from atftctl.domain.adoption import Measures
from atftctl.protocol import HOOK_TIME, METRICS

OPTIONS = ("--pattern", "--override")  # of guard; each takes a value


def guard_at(words: Sequence[str]) -> int | None:
    """The place of the word `guard` in a command that runs under it; None in all others."""
    at = next((at for at, word in enumerate(words[:4]) if word.rpartition("/")[2] == "atftctl"), None)
    return at + 1 if at is not None and list(words[at + 1 : at + 2]) == ["guard"] else None


def options_end(words: Sequence[str]) -> int:
    """The place of the program's first word in a command that runs under guard; 0 in all others."""
    return _options(words)[1]


def patterns_of(words: Sequence[str]) -> tuple[str, ...]:
    """The patterns that guard gets, in their order; none where the command does not run under guard."""
    return _options(words)[0]


def _options(words: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """(the patterns, the place of the program's first word)."""
    place = guard_at(words)
    if place is None:
        return (), 0
    at, patterns = place + 1, list[str]()
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        name, equals, value = words[at].partition("=")
        apart = not equals and name in OPTIONS
        if name == "--pattern" and (equals or at + 1 < len(words)):
            patterns.append(value if equals else words[at + 1])
        at += 1 + apart
    return tuple(patterns), at + (list(words[at : at + 1]) == ["--"])


def measures_of(names: Sequence[str]) -> Measures:
    """The metrics that guard writes: a column for each named group of its patterns, `names`, and the time of a step,
    which it measures itself."""
    return Measures((METRICS,), "csv", "step", loss_of(names), "guard", tuple(dict.fromkeys((*names, HOOK_TIME))))
