"""Figures and names as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def size_text(size: float) -> str:
    """1,234 bytes, 56.7 kB, 2.1 GB: powers of 1,000, as df -H has them."""
    if size < 10_000:
        return f"{size:,.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:,.1f} TB"


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 file", "2,000 files"; `many` where an s does not make the plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str], most: int) -> str:
    """The first ones, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def nearest(word: str, names: Iterable[Any]) -> str:
    """ "did you mean …?", or the list of what there is."""
    import difflib

    known = [str(name) for name in names]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {listed(known, 20)}"


def value_text(value: Any) -> str:
    """A setting's value as the config would say it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
