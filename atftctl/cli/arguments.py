"""The arguments of the command line before they are parsed: what people type, and what the parser takes."""

from __future__ import annotations

from collections.abc import Sequence

WITH_VALUE = ("--project", "--lang")
FLAGS = ("--json",)
GROUPS = (
    "alert",
    "backup",
    "baseline",
    "checkpoint",
    "config",
    "plan",
    "runbook",
    "trainer",
)  # they have commands of their own


def in_order(arguments: Sequence[str]) -> list[str]:
    """`help COMMAND` becomes `COMMAND --help`; options before the command, where people put them, go behind it."""
    leading, rest = _leading(list(arguments))
    if rest[:1] == ["help"]:
        rest = [*rest[1:], "--help"]
    if not leading or not rest or rest[0].startswith("-"):
        return [*rest, *leading] if rest else [*leading]
    end = 2 if rest[0] in GROUPS and len(rest) > 1 and not rest[1].startswith("-") else 1
    return [*rest[:end], *leading, *rest[end:]]


def _leading(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(leading options that every command takes, everything else)."""
    end = 0
    while end < len(arguments):
        name, equals, _ = arguments[end].partition("=")
        if name in WITH_VALUE:
            end += 1 if equals else 2
        elif arguments[end] in FLAGS:
            end += 1
        else:
            break
    return arguments[:end], arguments[end:]
