"""Setting keys as people write them: parts joined by dots, list items by number, a part with a dot in quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable

KeyPath = tuple[str, ...]

_PART = re.compile(r""" "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<plain>[^."'][^.]*) """, re.VERBOSE)


def parse_key(text: str) -> KeyPath:
    """`model."v1.5".layers.0` as its parts. Raises ValueError, which says what is wrong."""
    parts: list[str] = []
    position = 0
    while True:
        part = _PART.match(text, position)
        if part is None:
            raise ValueError(f"{text!r} is no key: a part is empty, or its quote is not closed")
        parts.append(next(found for found in part.groups() if found is not None))
        position = part.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            raise ValueError(f"{text!r} is no key: a dot was expected after {part.group()}")
        position += 1


def item_number(part: str) -> int | None:
    """The number of a list's item, or None where the part is none: `0`, `12`, not `00` or `-1`."""
    plain = part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or part[0] != "0")
    return int(part) if plain else None


def key_text(path: Iterable[str]) -> str:
    """The key as `parse_key` reads it; a part that needs quotes gets them."""
    return ".".join(map(_quoted, path))


def _quoted(part: str) -> str:
    if part and "." not in part and part[0] not in "\"'":
        return part
    return f"'{part}'" if '"' in part else f'"{part}"'
