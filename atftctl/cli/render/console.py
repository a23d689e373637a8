"""The one place that writes to the terminal: colours, marks, wrapping, translation.

Text from files, from other users and from other programs may hold escape sequences and newlines: they are shown, not
obeyed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Literal, TextIO

from atftctl.cli.render.layout import display_width, wrap
from atftctl.cli.render.translation import localize
from atftctl.domain.printable import UNPRINTABLE, printable

Tone = Literal["", "strong", "quiet", "good", "warn", "bad"]
_CODES: dict[Tone, str] = {"strong": "1", "quiet": "2", "good": "32", "warn": "33", "bad": "31"}
# The marks before a line are ASCII, so that any screen shows them.
OK, WARN, FAIL, UNKNOWN = "ok", "!", "FAIL", "?"
MARK_WIDTH = 4
MIN_COLUMNS, MAX_COLUMNS = 40, 120


def has_colours(stream: TextIO) -> bool:
    """Are colours shown there? Never with NO_COLOR (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def screen() -> tuple[int, int]:
    """(columns, rows) of the terminal; text is never wider than `MAX_COLUMNS`."""
    import shutil

    size = shutil.get_terminal_size()
    return min(max(size.columns, MIN_COLUMNS), MAX_COLUMNS), size.lines


def emit(text: str = "", tone: Tone = "", *, indent: int = 0, stream: TextIO | None = None) -> None:
    """One line, translated and made printable, never wrapped."""
    _write(" " * indent + printable(localize(text)), tone, stream or sys.stdout)


def emit_raw(text: str) -> None:
    """Text of our own for another program, such as a shell's script."""
    sys.stdout.write(text)


def emit_json(value: object) -> None:
    """One JSON object on standard output; no character in it is a control."""
    import json

    text = json.dumps(value, ensure_ascii=False, default=_plain)
    sys.stdout.write(UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def _plain(value: object) -> object:
    """What `json` can't write by itself."""
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


def say(
    text: str = "", tone: Tone = "", *, lead: str = "", hang: int | None = None, stream: TextIO | None = None
) -> None:
    """One paragraph, translated; on a terminal wrapped between words.

    lead: what stands before it, such as an indent, a mark or a number. hang: columns before the second and later lines;
    None: as far as the text of the first line.
    """
    stream = stream or sys.stdout
    lead = printable(lead)
    lines = paragraph(text, lead=lead, hang=hang) if stream.isatty() else [lead + _shown(text)]
    for line in lines:
        _write(line, tone, stream)


def paragraph(text: str, *, lead: str = "", hang: int | None = None) -> list[str]:
    """The lines of a paragraph at the terminal's width."""
    below = " " * (display_width(lead) if hang is None else hang)
    return wrap(_shown(text), screen()[0], lead, below)


def _shown(text: str) -> str:
    """As it is shown: a heading whose list follows ends with its colon."""
    return printable(localize(text)).rstrip(" ")


def say_marked(mark: str, text: str, tone: Tone = "") -> None:
    """A line with a mark before it."""
    say(text, tone, lead=f"  {mark} ")


def mark_column(mark: str) -> str:
    """A mark as the first column of a list."""
    return f"  {mark.ljust(MARK_WIDTH)}  "


def ask(question: str) -> str:
    """Ask on one short line; the answer. Raises EOFError at the end of the input."""
    return input(printable(localize(question)))


def write_lines(lines: Iterable[str], tone: Tone = "") -> None:
    """Lines that are laid out already, of printable text."""
    for line in lines:
        _write(line, tone, sys.stdout)


def _write(line: str, tone: Tone, stream: TextIO) -> None:
    stream.write(f"\x1b[{_CODES[tone]}m{line}\x1b[0m\n" if tone and has_colours(stream) else f"{line}\n")


def flush() -> None:
    """Flush, whatever is in the way: a full disk, a closed pipe."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
