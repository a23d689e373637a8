"""The lines of a watcher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atftctl.cli.render.console import FAIL, OK, UNKNOWN, WARN, Tone, mark_column, say

if TYPE_CHECKING:
    from atftctl.operations.monitoring.watch_lines import WatchLine

VERDICTS: dict[str, tuple[str, Tone]] = {
    "healthy": (OK, "good"),
    "fault": (FAIL, "bad"),
    "inconclusive": (UNKNOWN, "warn"),
}
KINDS: dict[str, tuple[str, Tone]] = {
    "trainer": ("-", ""),
    "alarm": (WARN, "warn"),
    "alarm-ended": (OK, ""),
    "blind": (UNKNOWN, "warn"),
    "sees": (OK, ""),
    "action": (WARN, "strong"),
    "note": ("-", "quiet"),
    "status": ("-", "quiet"),
}


def look_of(line: WatchLine) -> tuple[str, Tone]:
    """(the mark before a line, its tone)."""
    return VERDICTS[line.verdict] if line.kind == "verdict" else KINDS[line.kind]


def line(line: WatchLine) -> None:
    """One line: its local time, a mark and the text."""
    mark, tone = look_of(line)
    say(line.text, tone, lead=f"{line.time[11:19]}{mark_column(mark)}")
