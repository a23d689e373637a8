"""The literal text that a line must hold for a regular expression to match it.

Looking for it is a hundred times faster than a search line by line.
"""

from __future__ import annotations

import re

LEAST = 2  # bytes; a shorter text is in most lines
META = b".^$*+?{}[]()|\\"
REPEATS = b"*+?{"
FLAGS = re.compile(rb"\(\?[a-zA-Z-]*[ix][a-zA-Z-]*[:)]")  # case or white space don't count: no literal text is sure


def required_text(pattern: bytes) -> bytes:
    """The longest text outside of groups that is in every match; b"" where none is sure. The pattern compiles."""
    if b"|" in pattern or FLAGS.search(pattern):
        return b""
    runs, run, at = [b""], b"", 0
    while at < len(pattern):
        length, letter = _item(pattern, at)
        at += length
        repeated = pattern[at : at + 1] != b"" and pattern[at : at + 1] in REPEATS
        if letter and not repeated:
            run += letter
            continue
        runs.append(run)
        run = b""
        if repeated:
            at += _repeat(pattern, at)
    longest = max((*runs, run), key=len)
    return longest if len(longest) >= LEAST else b""


def _item(pattern: bytes, at: int) -> tuple[int, bytes]:
    """(length of the item that begins here, the letter that it stands for or b"")"""
    letter = pattern[at : at + 1]
    if letter == b"\\":
        return _escape(pattern, at)
    if letter == b"[":
        return _class(pattern, at), b""
    if letter == b"(":
        return _group(pattern, at), b""
    return 1, b"" if letter in META else letter


def _escape(pattern: bytes, at: int) -> tuple[int, bytes]:
    """As `_item`, of an escape: a byte by its number, a class, a reference, or a letter that has a meaning else."""
    escaped = pattern[at + 1 : at + 2]
    if escaped == b"x":
        return 4, b""
    if escaped.isdigit():
        end = at + 2
        while pattern[end : end + 1].isdigit():
            end += 1
        return end - at, b""
    return 2, b"" if escaped.isalnum() else escaped


def _class(pattern: bytes, at: int) -> int:
    """The length of a set such as `[^]a-z]`."""
    end = at + 1 + (pattern[at + 1 : at + 2] == b"^")
    end += pattern[end : end + 1] == b"]"
    while pattern[end : end + 1] not in (b"]", b""):
        end += 2 if pattern[end : end + 1] == b"\\" else 1
    return end + 1 - at


def _group(pattern: bytes, at: int) -> int:
    """The length of a group, with the groups in it."""
    end = at + 1
    while pattern[end : end + 1] not in (b")", b""):
        end += _item(pattern, end)[0]
    return end + 1 - at


def _repeat(pattern: bytes, at: int) -> int:
    """The length of `*`, `+?`, `{2,3}` and the like."""
    end = pattern.find(b"}", at) + 1 if pattern[at : at + 1] == b"{" else at + 1
    return max(end, at + 1) - at + (pattern[end : end + 1] in (b"?", b"+") and pattern[end : end + 1] != b"")
