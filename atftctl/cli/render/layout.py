"""Text in columns: the width of characters on the screen, wrapping, tables."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 2  # columns between two columns of a table
NARROW = 24  # a last column that would be narrower goes below its row


def display_width(text: str) -> int:
    """Columns that a text takes on the screen: Chinese and Japanese characters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(character) else 1 + (east_asian_width(character) in "WF") for character in text)


def wrap(text: str, columns: int, lead: str = "", below: str = "") -> list[str]:
    """Lines of at most `columns`, broken between words, and between wide characters. A long word stays whole.

    lead, below: what stands before the first line and before the others.
    """
    lines, line, pending = [], lead, ""
    empty = True  # nothing of the text stands in this line yet
    for piece in _pieces(text):
        if piece == " ":
            pending = "" if empty else pending + " "
        elif empty or display_width(line + pending + piece) <= columns:
            line, pending, empty = line + pending + piece, "", False
        else:
            lines.append(line)
            line, pending, empty = below + piece, "", False
    return [*lines, line]


def chunks(text: str, columns: int, lead: str, below: str) -> list[str]:
    """Lines of at most `columns` that keep every space: for code. Broken after a space where there is one."""
    lines, line, used = [], lead, display_width(lead)
    for character in text:
        wide = display_width(character)
        if used + wide > columns:
            end = line.rfind(" ") + 1
            end = end if end > columns // 2 else len(line)
            lines.append(line[:end])
            line = below + line[end:]
            used = display_width(line)
        line, used = line + character, used + wide
    return [*lines, line]


def _pieces(text: str) -> list[str]:
    """What a line must not break inside: words; single wide characters; and spaces between them."""
    pieces: list[str] = []
    word = ""
    for character in text:
        wide = not character.isascii() and display_width(character) == 2
        if character != " " and not wide:
            word += character
            continue
        if word:
            pieces.append(word)
            word = ""
        if wide and character in "、。）」』】：；" and pieces and pieces[-1] != " ":
            pieces[-1] += character  # closing punctuation stays with what it closes
        else:
            pieces.append(character)
    return [*pieces, word] if word else pieces


def pad(text: str, columns: int) -> str:
    """The text with spaces after it, up to a width on the screen."""
    return text + " " * (columns - display_width(text))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """The lines of a table, its head first. The last column wraps with an indent; where there is no room for it, it
    stands below its row. Empty columns are left out."""
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    grid = [[row[at] for at in kept] for row in (head, *rows)]
    *fixed, _ = [max(display_width(row[at]) for row in grid) for at in range(len(kept))]
    left = sum(fixed) + GAP * len(fixed)
    lines = []
    for row in grid:
        first = "".join(pad(text, width) + " " * GAP for text, width in zip(row, fixed, strict=False))
        if columns - left >= NARROW:
            lines += wrap(row[-1], columns, first, " " * left)
        elif row is not grid[0]:
            lines += [first.rstrip(), *(wrap(row[-1], columns, "    ", "    ") if row[-1] else [])]
        else:
            lines.append(first.rstrip())
    return [line.rstrip() for line in lines]
