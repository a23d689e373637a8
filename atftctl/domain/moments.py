"""Points in time as operators write them: `2h`, `10:31`, `yesterday`, `2026-11-30T10:00`."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

_WORDS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_UNITS_S = {"s": 1, "sec": 1, "secs": 1, "m": 60, "min": 60, "mins": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNITS_S |= {f"{word}{ending}": seconds for word, seconds in _WORDS_S.items() for ending in ("", "s")}
_UNIT = "|".join(sorted(_UNITS_S, key=len, reverse=True))
_SPAN = re.compile(rf"(?:\d{{1,9}}(?:\.\d{{1,3}})?\s?(?:{_UNIT})\s?)+", re.ASCII)
_TERM = re.compile(rf"(\d+(?:\.\d+)?)\s?({_UNIT})")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)


def moment_of(text: str, now: datetime) -> datetime | None:
    """The time that a text names; None where it names none. now: with its zone.

    A span such as `90min`, `2h` or `1d` counts back from now; a time of day is the last such time; a time without a
    zone is a local one.
    """
    text = text.strip().removeprefix("-").removesuffix(" ago")
    try:
        if _SPAN.fullmatch(text):
            seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _TERM.findall(text))
            return now - timedelta(seconds=seconds)
        if clock := _CLOCK.fullmatch(text):
            moment = datetime.combine(now.date(), time(int(clock[1]), int(clock[2]), int(clock[3] or 0)), now.tzinfo)
            return moment if moment <= now else moment - timedelta(days=1)
        if text in ("today", "yesterday"):
            return datetime.combine(now.date() - timedelta(days=text == "yesterday"), time(), now.tzinfo)
        moment = datetime.fromisoformat(text.replace("/", "-"))
        return moment if moment.tzinfo else moment.astimezone()
    except (ValueError, OverflowError):
        return None
