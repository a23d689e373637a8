"""Points in time as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from atftctl.protocol.messages import tr

MINUTE, HOUR, DAY = 60, 3600, 86400
DATE_AFTER = 60 * DAY


def age(written: str, now: datetime | None = None) -> str:
    """How long ago a time was, as `3 h ago`; its date after two months; "" for what is no time. `written`: ISO 8601."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return ""
    if at.tzinfo is None:
        at = at.astimezone()
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    if seconds >= DATE_AFTER:
        return at.date().isoformat()
    if seconds >= 2 * DAY:
        return tr("{days} d ago", days=int(seconds // DAY))
    if seconds >= HOUR:
        return tr("{hours} h ago", hours=int(seconds // HOUR))
    if seconds >= MINUTE:
        return tr("{minutes} min ago", minutes=int(seconds // MINUTE))
    return tr("just now")


def short_moment(written: str, beside: str = "") -> str:
    """A time as `2026-11-30 08:45`, in UTC; as `08:45` where the time `beside` is of the same day; "" for what is no
    time."""
    try:
        at = datetime.fromisoformat(written).astimezone(UTC)
    except ValueError:
        return ""
    day = at.strftime("%Y-%m-%d ")
    return at.strftime("%H:%M") if short_moment(beside).startswith(day) else day + at.strftime("%H:%M")
