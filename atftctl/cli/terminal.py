"""The one place that writes to the terminal. What comes from files, from other users and from other programs may hold
escape sequences and newlines: they are shown, not obeyed."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

# C0 and C1 controls, and what reorders or hides text (Unicode TR36, Trojan Source).
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def printable(text: str) -> str:
    """One line that a terminal shows as it is."""
    return UNPRINTABLE.sub(lambda one: one[0].encode("unicode_escape").decode(), text)


def colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def emit(text: str = "", style: str = "", stream: TextIO | None = None) -> None:
    """One line, made printable."""
    stream = stream or sys.stdout
    line = printable(text)
    stream.write(f"\x1b[{CODES[style]}m{line}\x1b[0m\n" if style and colours(stream) else f"{line}\n")


def emit_json(value: object) -> None:
    """One JSON object on standard output; no character in it is a control."""
    import json

    text = json.dumps(value, ensure_ascii=False, default=str)
    sys.stdout.write(UNPRINTABLE.sub(lambda one: f"\\u{ord(one[0]):04x}", text) + "\n")


def say(text: str = "", style: str = "", stream: TextIO | None = None) -> None:
    """One line; on a terminal folded between words, what follows set in below its first word."""
    stream = stream or sys.stdout
    text = printable(text)
    if not stream.isatty():
        emit(text, style, stream)
        return
    import shutil
    import textwrap

    width = max(shutil.get_terminal_size().columns, 40)
    inner = " " * (len(text) - len(text.lstrip()) + 2)
    lines = textwrap.wrap(text, width, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False)
    for line in lines or [""]:
        emit(line, style, stream)


def flush() -> None:
    """Whatever stands in the way of telling somebody: a full disk, a closed pipe."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
