"""The words of the command line, before they are parsed: what people type, and what the parser takes."""

from __future__ import annotations

from collections.abc import Sequence

WITH_VALUE = ("--project", "--lang")
ALONE = ("--json",)
GROUPS = ("backup", "config", "plan", "trainer", "baseline", "runbook")  # commands with verbs of their own


def in_order(words: Sequence[str]) -> list[str]:
    """`help COMMAND` as `COMMAND --help`, and options that stand before the command behind it: every command takes
    them, and people put them there."""
    leading, rest = _leading(list(words))
    if rest[:1] == ["help"]:
        rest = [*rest[1:], "--help"]
    if not leading or not rest or rest[0].startswith("-"):
        return [*rest, *leading] if rest else [*leading]
    at = 2 if rest[0] in GROUPS and len(rest) > 1 and not rest[1].startswith("-") else 1
    return [*rest[:at], *leading, *rest[at:]]


def _leading(words: list[str]) -> tuple[list[str], list[str]]:
    """(options that every command takes, all else)."""
    at = 0
    while at < len(words):
        name, equals, _ = words[at].partition("=")
        if name in WITH_VALUE:
            at += 1 if equals else 2
        elif words[at] in ALONE:
            at += 1
        else:
            break
    return words[:at], words[at:]
