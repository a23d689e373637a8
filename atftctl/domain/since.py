"""From when on something is shown: what people type after `--since`."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Literal

from atftctl.domain.record import record
from atftctl.protocol.messages import tr

_WORDS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_UNITS_S = {"s": 1, "sec": 1, "secs": 1, "m": 60, "min": 60, "mins": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNITS_S |= {f"{word}{ending}": seconds for word, seconds in _WORDS_S.items() for ending in ("", "s")}
_UNIT = "|".join(sorted(_UNITS_S, key=len, reverse=True))
_SPAN = re.compile(rf"(?:\d{{1,9}}(?:\.\d{{1,3}})?\s?(?:{_UNIT})\s?)+", re.ASCII)
_TERM = re.compile(rf"(\d+(?:\.\d+)?)\s?({_UNIT})")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
FORMS = tr("a time span such as 90s, 30min, 2h or 1d; a time such as 10:31 or 2026-11-30 10:31; start; all")


@record
class Since:
    """`start`: the last start of the trainer. `all`: everything. `time`: from `at` on, in Unix seconds."""

    kind: Literal["start", "all", "time"]
    at: float = 0.0


def parse_since(text: str, now: datetime) -> Since:
    """What `--since TEXT` means. now: with its zone; a time without a zone is in it, and a time without a day is the
    last such time. Raises ValueError with the reason."""
    text = text.strip()
    if text == "start":
        return Since("start")
    if text == "all":
        return Since("all")
    moment = _moment(text.removeprefix("-").removesuffix(" ago"), now)
    if moment is None:
        raise ValueError(tr("{text!r} is none of: {forms}", text=text, forms=FORMS))
    if moment > now:
        raise ValueError(tr("{text!r} is in the future", text=text))
    return Since("time", moment.timestamp())


def _moment(text: str, now: datetime) -> datetime | None:
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
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.astimezone()
