"""Points in time as operators write them: `2h`, `10:31`, `2026-11-30T10:00`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(s|min|m|h|d|w)", re.ASCII)
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)


def moment_of(text: str, now: datetime) -> datetime | None:
    """The time that a text names; None where it names none. A span such as `90min`, `2h` or `1d` counts back from
    `now`, which has a zone; a time of day is the last one; a date or a time without a zone is in the zone of `now`."""
    try:
        if span := SPAN.fullmatch(text):
            return now - timedelta(seconds=float(span[1]) * UNITS_S[span[2]])
        if clock := CLOCK.fullmatch(text):
            at = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0), microsecond=0)
            return at if at <= now else at - timedelta(days=1)
        at = datetime.fromisoformat(text)
        return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    except (ValueError, OverflowError):
        return None
