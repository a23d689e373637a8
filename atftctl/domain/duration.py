"""Durations as people type and read them: 30s, 10m, 2h."""

from __future__ import annotations

import re

from atftctl.domain.errors import UsageError
from atftctl.protocol.messages import tr

UNITS_S = {"s": 1, "m": 60, "h": 3600}
SHORTEST_S, LONGEST_S = 1, 7 * 24 * 3600
TYPED = re.compile(r"([0-9]{1,9})([smh])")


def seconds_of(text: str, option: str) -> int:
    """The seconds of a duration such as `10m`. `option`: where it was typed, for the error. Raises UsageError."""
    match = TYPED.fullmatch(text)
    if not match:
        raise UsageError(
            tr("{option} needs a duration such as 30s, 10m or 2h, not {text!r}", option=option, text=text),
            hint=tr("example: {option} 10m", option=option),
        )
    seconds = int(match[1]) * UNITS_S[match[2]]
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise UsageError(
            tr("{option} takes a duration from 1s to 168h, not {text}", option=option, text=text),
            hint=tr("example: {option} 10m", option=option),
        )
    return seconds


def duration_text(seconds: int) -> str:
    """A duration in the largest unit that says it exactly: `90 s`, `10 min`, `2 h`."""
    if seconds % 3600 == 0:
        return tr("{hours} h", hours=seconds // 3600)
    if seconds % 60 == 0:
        return tr("{minutes} min", minutes=seconds // 60)
    return tr("{seconds} s", seconds=seconds)


def about_text(seconds: float) -> str:
    """A duration, rounded down, as precise as people need it: `45 s`, `9 min`, `3 h`."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return tr("{seconds} s", seconds=whole)
    if whole < 7200:
        return tr("{minutes} min", minutes=whole // 60)
    return tr("{hours} h", hours=whole // 3600)
