"""Text from files, from other users and from other programs, as one line that can be shown: it may hold escape
sequences and newlines, and characters that hide or reorder others."""

from __future__ import annotations

import re

# C0 and C1 controls, and what reorders or hides text (Unicode TR36, Trojan Source).
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def printable(text: str) -> str:
    """One line that a terminal shows as it is."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def shortened(text: str, most: int) -> str:
    """As `printable`, at most `most` characters long; lone surrogates become question marks."""
    line = printable(text[: most + 1].encode("utf-8", "replace").decode())
    return line if len(line) <= most else line[: most - 1] + "…"
