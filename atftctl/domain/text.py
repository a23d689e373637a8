"""Numbers, lists of names and setting values as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from atftctl.protocol.messages import joined, tr, trn


def size_text(size: float) -> str:
    """A number of bytes as text: "1,234 bytes", "56.7 kB", "2.1 GB". Units are powers of 1,000, as in `df -H`."""
    if size < 10_000:
        return trn("{count} byte", "{count} bytes", round(size))
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:,.1f} TB"


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number with its noun: "1 file", "2,000 files". `plural`: needed where the plural is not the noun with an s.

    English only: a message that can be translated uses `trn`.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], limit: int) -> str:
    """The first `limit` names, joined by commas, and how many more there are."""
    shown = joined(", ", names[:limit])
    if len(names) <= limit:
        return shown
    return trn("{names} and {count} more", "{names} and {count} more", len(names) - limit, names=shown)


def nearest(name: str, known: Iterable[Any]) -> str:
    """A hint for a name that is not known: "did you mean …?", or the list of the known names."""
    import difflib

    names = [str(item) for item in known]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return tr("did you mean {name}?", name=close[0]) if close else tr("known: {names}", names=listed(names, 20))


def value_text(value: Any) -> str:
    """A setting's value as a config file writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def moment(written: str) -> str:
    """A time as `2026-11-30 08:45:16 UTC`; as it is where it is no time."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return written
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
