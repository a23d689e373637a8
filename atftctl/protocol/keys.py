"""Setting keys as people write them: parts joined by dots; a list item by its number; a part with a dot in quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from atftctl.protocol.messages import tr

KeyPath = tuple[str, ...]

_PART = re.compile(r""" "(?P<double>[^"]*)" | '(?P<single>[^']*)' | (?P<plain>[^."'][^.]*) """, re.VERBOSE)


def parse_key(text: str) -> KeyPath:
    """The parts of a key such as `model."v1.5".layers.0`. Raises ValueError with a message for people."""
    parts: list[str] = []
    position = 0
    while True:
        part = _PART.match(text, position)
        if part is None:
            raise ValueError(tr("{text!r} is not a key: a part is empty, or a quote is not closed", text=text))
        parts.append(next(group for group in part.groups() if group is not None))
        position = part.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            raise ValueError(tr("{text!r} is not a key: a dot must follow {part}", text=text, part=part.group()))
        position += 1


def item_number(part: str) -> int | None:
    """The number of a list item, such as `0` or `12`; None for any other part, such as `00` or `-1`."""
    plain = part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or part[0] != "0")
    return int(part) if plain else None


def key_text(path: Iterable[str]) -> str:
    """The key of these parts, as `parse_key` reads it; a part that needs quotes gets them."""
    return ".".join(map(_quoted, path))


def _quoted(part: str) -> str:
    if part and "." not in part and part[0] not in "\"'":
        return part
    return f"'{part}'" if '"' in part else f'"{part}"'
